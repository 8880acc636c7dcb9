"""Ways out: explanations as tables and objects of other libraries, which are imported when used.

Each takes `Attributions`; of one `Attribution` they are the same of a batch of one.
"""
