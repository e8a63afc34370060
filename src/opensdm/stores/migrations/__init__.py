"""Numbered schema changes; what is here has run somewhere and is never edited."""
