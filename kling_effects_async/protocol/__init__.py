"""The API's messages as pure functions: a request is built, a reply is read, nothing is sent.

``messages`` are the only currency. A service is a value (``services``), and its dialect decides
what we send; how a reply is read never depends on it.
"""
