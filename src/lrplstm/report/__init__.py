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
    :func:`render` and :func:`write`: the page, from ``report.html``, ``report.css``, and the script
    in three parts: ``explanations.js``, ``series.js`` and ``report.js``.
``saving``
    :func:`save_report`: explains first, by several methods.
"""
