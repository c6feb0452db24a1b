"""What can go wrong, named for what the operator does next; each class carries one exit code.

HauserpyError                     1    unexpected: a bug
├── ConfigError                   2    usage or configuration: fix it
├── TransientError                4    rerun later
│   ├── ApiUnavailable                 network, 5xx, not JSON where JSON should be
│   ├── RateLimited                    Retry-After beyond the cap
│   ├── DestinationUnavailable         network, time-out, conflict that persists
│   ├── DiskFull                       no room for the spool or the parts
│   ├── WorkerDied                     a worker process was killed (out of memory?)
│   └── LedgerMoved                    another run loaded in between: plan again
├── AccessDenied                  5    credentials or permission refused: fix it
├── BundleError                   6    inspect it, or give it up with `skip`
│   ├── CorruptBundle                  not one whole gzip of one whole JSON array
│   │   └── RecordTooLarge             beyond MaxRecordBytes: perhaps only that is wrong
│   └── BundleGone                     the API no longer has it
├── DestinationRefused            7    the destination refuses the rows or the schema: fix it
├── CheckFailed                   8    `check` found problems: inspect
├── LedgerError                   10   inspect
│   ├── LedgerUnreadable               garbage, or from a newer version
│   └── HauserHasRun                   the Go hauser has moved its checkpoint past ours
├── AlreadyRunning                11   another run holds the lock: skip this one
└── Interrupted                   130 / 143    SIGINT / SIGTERM: rerun

The library raises these; only `hauserpy.cli` prints them and exits. A message says what happened,
to which bundle or key, and what to do; it never holds a secret.
"""

from __future__ import annotations


class HauserpyError(Exception):
    """Base of all that hauserpy raises on purpose.

    ``instruction`` is the second half of every message: what the operator can do about it.
    """

    exit_code: int = 1

    def __init__(self, reason: str, instruction: str = "") -> None:
        self.reason = reason
        self.instruction = instruction
        super().__init__(reason if not instruction else f"{reason} {instruction}")

    @property
    def kind(self) -> str:
        """The name of the class above that it is of, for those who read JSON."""
        return next(c.__name__ for c in type(self).__mro__ if c.__module__ == __name__)


class ConfigError(HauserpyError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class TransientError(HauserpyError):
    """It may go well when it is run again; retries within the run are used up."""

    exit_code = 4


class ApiUnavailable(TransientError):
    """The export API cannot be reached, or answers with something that is not an answer."""


class RateLimited(TransientError):
    """The API asks for a wait longer than ``RetryAfterMax``."""


class DestinationUnavailable(TransientError):
    """The destination cannot be reached, or conflicts persist."""


class DiskFull(TransientError):
    """There is no room for the spool, the parts or the data files."""


class WorkerDied(TransientError):
    """A worker process ended without an answer."""


class LedgerMoved(TransientError):
    """The loaded windows are no longer those the caller saw: nothing was written, plan again."""


class AccessDenied(HauserpyError):
    """Credentials or permission were refused."""

    exit_code = 5


class BundleError(HauserpyError):
    """One bundle cannot be had or cannot be read; nothing of it was loaded."""

    exit_code = 6


class CorruptBundle(BundleError):
    """The body is not one whole valid gzip of one whole JSON array of objects.

    ``offset`` counts bytes of the gunzipped text, or of the compressed body where ``compressed``;
    ``window`` is the bundle's (start, stop) as `hauserpy skip` takes them, where it is known.
    """

    first_of_all = ""
    """What to try before what helps with any bundle."""

    def __init__(
        self,
        problem: str,
        *,
        offset: int,
        compressed: bool = False,
        bundle: str | None = None,
        window: tuple[str, str] | None = None,
    ) -> None:
        self.problem = problem
        self.offset = offset
        self.compressed = compressed
        self.bundle = bundle
        self.window = window
        where = "of the compressed body" if compressed else "of the JSON text"
        name = f"bundle {bundle}" if bundle else "the bundle"
        since, until = window or ("…", "…")
        super().__init__(
            f"{name} is corrupt: {problem} (at byte {offset} {where}); nothing of it was loaded.",
            f"{self.first_of_all}Run again later to fetch it anew. If it stays so, ask Fullstory, or"
            f" give its window up with `hauserpy skip --since {since} --until {until} --reason …`, and"
            " sync goes on.",
        )

    def of(self, bundle: str, since: str, until: str) -> CorruptBundle:
        """The same error, naming its bundle, whose window goes from ``since`` to ``until``."""
        window = (since, until)
        return _corrupt(
            type(self), self.problem, self.offset, self.compressed, bundle=bundle, window=window
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send these back; the default would pass the message as `problem`.
        place = (self.offset, self.compressed, self.bundle, self.window)
        return (_corrupt, (type(self), self.problem, *place))


class RecordTooLarge(CorruptBundle):
    """A record is larger than ``MaxRecordBytes``: what is wrong may be no more than that setting."""

    first_of_all = "It may well be whole: set MaxRecordBytes higher and run again. "

    @classmethod
    def than(cls, most_bytes: int, *, offset: int) -> RecordTooLarge:
        return cls(f"a record is larger than MaxRecordBytes ({most_bytes} bytes)", offset=offset)


def _corrupt(
    kind: type[CorruptBundle],
    problem: str,
    offset: int,
    compressed: bool,
    bundle: str | None,
    window: tuple[str, str] | None,
) -> CorruptBundle:
    return kind(problem, offset=offset, compressed=compressed, bundle=bundle, window=window)


class BundleGone(BundleError):
    """The API answers 404 for a bundle that it listed."""


class DestinationRefused(HauserpyError):
    """The destination refuses the rows or the schema."""

    exit_code = 7


class CheckFailed(HauserpyError):
    """`hauserpy check` found problems; they were printed."""

    exit_code = 8


class LedgerError(HauserpyError):
    """The ledger cannot be trusted; nothing was loaded."""

    exit_code = 10


class LedgerUnreadable(LedgerError):
    """The ledger is garbage, or was written by a newer version."""


class HauserHasRun(LedgerError):
    """The Go hauser's own checkpoint is ahead of the ledger: it has run since."""


class AlreadyRunning(HauserpyError):
    """Another run holds the lock of this destination."""

    exit_code = 11


class Interrupted(HauserpyError):
    """SIGINT (130) or SIGTERM (143) ended the run; what was loaded stays loaded, nothing by half."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        self.exit_code = 128 + signum
        name = "SIGINT" if signum == 2 else "SIGTERM"
        super().__init__(f"stopped by {name}; nothing is half-loaded.", "Run again to go on.")
