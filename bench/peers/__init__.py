"""The peers, each a program of its own in the peers' environment: JSON of the load in, JSON of the result out."""
