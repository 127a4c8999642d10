"""The oracle: a desk that lives through a day, a hostile edge, an observer, a judge."""
