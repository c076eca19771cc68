"""PostgreSQL: tables, migrations, queries, doorbell, blobs and the embedded server."""
