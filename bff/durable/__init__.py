"""Work that is accepted now and done later, whatever breaks in between."""
