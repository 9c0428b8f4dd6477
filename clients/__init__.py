"""Speak HTTP to the info, price and stock services; know nothing of the page that is made of their answers."""
