"""What other systems call: webhooks in."""
