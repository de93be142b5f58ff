"""How figures are shown: Jinja templates, charts as SVG, and their colours. Pure."""
