"""Pages for people, as HTML: made from what the pipeline knows, served by the plugin, changing nothing."""
