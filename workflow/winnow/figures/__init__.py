"""The figures: one module a family, one style, one way to average over seeds (winnow/catalogue.py names them)."""
