"""The ports in terms of one technology each. Foreign errors end here: what leaves is in `service.errors`."""
