"""Presentation of figures: Jinja templates, SVG charts and colours. Pure."""
