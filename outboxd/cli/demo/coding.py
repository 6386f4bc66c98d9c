"""One session of a coding agent that we made up, event by event, as its hooks tell it."""

from typing import Any

QUESTION = "why does the kettle whistle twice"
FOUND = "kettle/whistle.py"
PRIVATE = "the deploy password is tea-at-five"

_WHISTLE = "/home/ann/kettle/whistle.py"
_TESTS = "/home/ann/tests/test_whistle.py"
_BEFORE = "def on_boil(self):\n    self.whistle()\n    self.whistle()"
_AFTER = "def on_boil(self):\n    if not self.whistling:\n        self.whistle()"

DEEDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("user_prompt", {"prompt": f"The kettle whistles twice. Fix it. <private>{PRIVATE}</private>"}),
    (
        "tool_use",
        {
            "tool_name": "Grep",
            "tool_input": {"pattern": "whistle\\(", "path": "/home/ann/kettle"},
            "tool_response": {"filenames": [_WHISTLE], "numFiles": 1},
        },
    ),
    (
        "tool_use",
        {
            "tool_name": "Read",
            "tool_input": {"file_path": _WHISTLE},
            "tool_response": {"type": "text", "file": {"filePath": _WHISTLE, "content": _BEFORE}},
        },
    ),
    (
        "tool_use",
        {
            "tool_name": "Edit",
            "tool_input": {"file_path": _WHISTLE, "old_string": _BEFORE, "new_string": _AFTER},
            "tool_response": {"filePath": _WHISTLE, "userModified": False},
        },
    ),
    (
        "tool_use",
        {
            "tool_name": "Write",
            "tool_input": {"file_path": _TESTS, "content": "def test_it_whistles_once(): …"},
            "tool_response": {"type": "create", "filePath": _TESTS},
        },
    ),
    (
        "tool_use",
        {
            "tool_name": "Bash",
            "tool_input": {"command": "pytest -q tests/test_whistle.py", "description": "Run its tests"},
            "tool_response": {"stdout": "1 passed in 0.02s", "stderr": "", "interrupted": False},
        },
    ),
    (
        "assistant_message",
        {"message": "The kettle whistled twice since on_boil called whistle() twice. It asks first now."},
    ),
)
