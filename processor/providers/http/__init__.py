"""HTTP services: a request described as data, an answer mapped by path."""
