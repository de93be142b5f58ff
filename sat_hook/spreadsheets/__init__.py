"""Spreadsheet files as bytes: workbooks read within limits, without an idea of what their cells mean."""
