"""From an uploaded file to a safe PDF: pixels are drawn in a confined process, and only pixels come out of it.

`worker` reads the file, `process` starts it and holds it to its limits, `composing` makes a PDF of the pixels. The
worker imports its modules as `safe_pdf`, without the rest of the portal; so they import each other relatively.
"""
