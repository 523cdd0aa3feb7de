"""The book on paper: one PDF for each edition, made from the pages of the built site.

    contents.py   which pages there are, in which parts: read from the navigation of a built page
    sheet.py      one page of the site becomes one chapter on paper
    frame.py      title page, contents, chapters: one HTML file for the whole book
    press.py      Chromium prints it, again and again until all page numbers in it are right
    finish.py     bookmarks, title, author and language of the PDF

``python -m attnbook.paper`` (`make pdf`) does it all. The look is in ``book/_paper``.
"""

from attnbook.paper.printing import print_book as print_book
