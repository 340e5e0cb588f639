"""What a report is, and how it looks: in the terminal, on a web page, as JSON and CSV."""
