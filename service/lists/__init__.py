"""How lists are made of an item index: rules, what-if events, and the lists that are nobody's own."""
