"""Agent memory, the part that needs neither a database nor a model: texts in, texts out.

`privacy`     marked spans out of texts and JSON, before storage and before a model
`redaction`   secrets out of what a model is shown and of what it wrote
"""
