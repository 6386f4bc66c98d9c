from outboxd.errors import Refused as Refused
from outboxd.errors import Unavailable as Unavailable
from outboxd.handlers.python import App as App
from outboxd.model import Done as Done
from outboxd.model import Job as Job
from outboxd.model import Snooze as Snooze
from outboxd.model.contract import Ended as Ended
from outboxd.model.contract import Run as Run

__version__: str
