"""CloudEvents 1.0 as they come in over HTTP: binary, structured and batched.

    modes       which of them a request is, by its headers
    reading     from bytes to an event: attributes from headers or members, and its data
    attributes  what each attribute may be
    mapping     from a CloudEvent to what is stored

The specification is kept to the letter, in both directions: what a sender must not send is refused.
The usual SDKs are laxer, so they are senders in tests and nothing else.
"""
