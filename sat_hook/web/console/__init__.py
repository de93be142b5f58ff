"""The console: pages for people below ``/sat/console``, rendered on the server."""
