"""How nodes and clients reach each other: identities, channels, signed datagrams, HTTP."""
