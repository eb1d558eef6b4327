"""Webhooks: endpoints over HTTP, and the tasks that deliver events to them."""
