"""A browser's window on the console, and what went wrong in it."""

from typing import Any

DESKTOP, PHONE = (1280, 900), (390, 844)
_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


class Window:
    """A browser's window on the console; what went wrong in it is in `faults`."""

    def __init__(self, browser: Any, base: str, size: tuple[int, int], scheme: str, script: bool) -> None:
        self.base = base
        self.faults: list[str] = []
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=script
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda said: self._fault(said.type, said.text))
        self.page.on("pageerror", lambda failed: self.faults.append(str(failed)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        if script:
            self.page.add_init_script(_VIOLATIONS)

    def open(self, path: str) -> Any:
        self.page.goto(self.base + path)
        return self.page

    def sign_in(self, key: str) -> "Window":
        self.open("/console")
        self.page.fill("#key", key)
        self.page.press("#key", "Enter")
        self.page.wait_for_selector("h1:has-text('Overview')")
        return self

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def _fault(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.faults.append(text)
