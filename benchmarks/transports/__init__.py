"""The trial that the choice of transport rests on: what errors, cancellations and calls come to, for each candidate."""
