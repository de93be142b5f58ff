"""The JSON API below ``/v1``: routes for programs, their documents, and repeated requests."""
