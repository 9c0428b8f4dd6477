"""Files of changes, brought to a running service row by row, and gone on with wherever that was left."""
