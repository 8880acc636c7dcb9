"""Reports: one page of HTML in which people choose what they see of many explanations.

The page needs no network and no other file. Python puts numbers and texts into it, and its script
draws them as they come into view. Each module imports only from those above it:

``packing``
    :func:`packed`: numbers as short text.
``alignment``
    :func:`segments`: tokens found again in the text that they were made of.
``content``
    :func:`content`: what the page shows, as data for JSON.
``page``
    :func:`render` and :func:`write`: the page, from ``report.html``, styles, and a script whose
    parts are, each knowing only those above it but for calls: ``explanations.js``, what is chosen
    of the data; ``rows.js`` and ``series.js``, which draw; ``pointing.js``, numbers on hover and by
    keyboard; ``report.js``, order, filters and tables, or ``notebook.js``.
``notebook``
    :func:`output`: the same rows, small, for an output in a notebook.
``saving``
    :func:`save_report`: explains first, by several methods.
"""
