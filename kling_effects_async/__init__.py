"""Async client for Kling's video effects: a photograph in, a short clip out, paid once.

``import kling_effects_async`` is cheap: every name below is loaded at its first use, and aiohttp at
the first request.

A public name is one line in the table ``_NAMES`` and one, for type checkers, above it. A test
compares the two, and requires a use of the name in ``tests/typing/api.py``.
"""

from __future__ import annotations

from importlib import import_module

# Known to type checkers. To import ``typing`` takes five times as long as all the rest here.
TYPE_CHECKING = False

if TYPE_CHECKING:
    # ``as`` marks a name as exported: checkers do not read an ``__all__`` that is computed.
    from kling_effects_async.bulk_item import BulkItem as BulkItem
    from kling_effects_async.callbacks.messages import CallbackAnswer as CallbackAnswer
    from kling_effects_async.callbacks.messages import CallbackMessage as CallbackMessage
    from kling_effects_async.callbacks.messages import CallbackStats as CallbackStats
    from kling_effects_async.callbacks.receiver import CallbackReceiver as CallbackReceiver
    from kling_effects_async.callbacks.signature import CallbackVerdict as CallbackVerdict
    from kling_effects_async.client import EffectsClient as EffectsClient
    from kling_effects_async.client import UnknownSceneWarning as UnknownSceneWarning
    from kling_effects_async.client_options import ClientOptions as ClientOptions
    from kling_effects_async.downloading.stream import VideoStream as VideoStream
    from kling_effects_async.effects import DualImageEffect as DualImageEffect
    from kling_effects_async.effects import Effect as Effect
    from kling_effects_async.effects import ImageSource as ImageSource
    from kling_effects_async.effects import SingleImageEffect as SingleImageEffect
    from kling_effects_async.errors import AccountChangedError as AccountChangedError
    from kling_effects_async.errors import AccountError as AccountError
    from kling_effects_async.errors import ApiError as ApiError
    from kling_effects_async.errors import AuthenticationError as AuthenticationError
    from kling_effects_async.errors import BudgetExceededError as BudgetExceededError
    from kling_effects_async.errors import ClientClosedError as ClientClosedError
    from kling_effects_async.errors import ClientDrainingError as ClientDrainingError
    from kling_effects_async.errors import ClipNameTakenError as ClipNameTakenError
    from kling_effects_async.errors import ConcurrencyLimitError as ConcurrencyLimitError
    from kling_effects_async.errors import ContentRejectedError as ContentRejectedError
    from kling_effects_async.errors import DownloadError as DownloadError
    from kling_effects_async.errors import EffectRejectedError as EffectRejectedError
    from kling_effects_async.errors import ExternalIdTakenError as ExternalIdTakenError
    from kling_effects_async.errors import IdempotencyConflictError as IdempotencyConflictError
    from kling_effects_async.errors import ImageRejectedError as ImageRejectedError
    from kling_effects_async.errors import ImageUnreadableError as ImageUnreadableError
    from kling_effects_async.errors import InvalidRequestError as InvalidRequestError
    from kling_effects_async.errors import JobStateError as JobStateError
    from kling_effects_async.errors import JournalBusyError as JournalBusyError
    from kling_effects_async.errors import JournalDamagedError as JournalDamagedError
    from kling_effects_async.errors import JournalError as JournalError
    from kling_effects_async.errors import JournalFullError as JournalFullError
    from kling_effects_async.errors import JournalVersionError as JournalVersionError
    from kling_effects_async.errors import KlingEffectsError as KlingEffectsError
    from kling_effects_async.errors import NetworkError as NetworkError
    from kling_effects_async.errors import ProxyError as ProxyError
    from kling_effects_async.errors import RateLimitError as RateLimitError
    from kling_effects_async.errors import ReplyError as ReplyError
    from kling_effects_async.errors import RequestTimeoutError as RequestTimeoutError
    from kling_effects_async.errors import ResultMissingError as ResultMissingError
    from kling_effects_async.errors import Scope as Scope
    from kling_effects_async.errors import ServiceError as ServiceError
    from kling_effects_async.errors import SettingsError as SettingsError
    from kling_effects_async.errors import SubmissionUncertainError as SubmissionUncertainError
    from kling_effects_async.errors import TaskFailedError as TaskFailedError
    from kling_effects_async.errors import TaskNotFoundError as TaskNotFoundError
    from kling_effects_async.errors import TaskTimeoutError as TaskTimeoutError
    from kling_effects_async.errors import TlsError as TlsError
    from kling_effects_async.errors import TransportError as TransportError
    from kling_effects_async.errors import VideoExpiredError as VideoExpiredError
    from kling_effects_async.estimate import Estimate as Estimate
    from kling_effects_async.estimate import SceneEstimate as SceneEstimate
    from kling_effects_async.event_hub import EventStream as EventStream
    from kling_effects_async.events import Event as Event
    from kling_effects_async.events import JobAccepted as JobAccepted
    from kling_effects_async.events import JobCancelled as JobCancelled
    from kling_effects_async.events import JobQueued as JobQueued
    from kling_effects_async.events import JobRejected as JobRejected
    from kling_effects_async.events import JobSubmitted as JobSubmitted
    from kling_effects_async.events import JobUncertain as JobUncertain
    from kling_effects_async.events import SlotsChanged as SlotsChanged
    from kling_effects_async.events import TaskChanged as TaskChanged
    from kling_effects_async.events import TaskEnded as TaskEnded
    from kling_effects_async.images.checks import ImageFacts as ImageFacts
    from kling_effects_async.images.checks import PreparedImage as PreparedImage
    from kling_effects_async.images.checks import check_image as check_image
    from kling_effects_async.images.checks import prepare as prepare
    from kling_effects_async.journal.job import Job as Job
    from kling_effects_async.journal.job import JobState as JobState
    from kling_effects_async.journal.job import Transition as Transition
    from kling_effects_async.journal.sqlite.journal import Journal as Journal
    from kling_effects_async.listing import TaskListing as TaskListing
    from kling_effects_async.models import EffectResult as EffectResult
    from kling_effects_async.models import TaskPage as TaskPage
    from kling_effects_async.models import TaskSnapshot as TaskSnapshot
    from kling_effects_async.models import TaskStatus as TaskStatus
    from kling_effects_async.models import Video as Video
    from kling_effects_async.outcomes import Done as Done
    from kling_effects_async.outcomes import Failed as Failed
    from kling_effects_async.outcomes import Outcome as Outcome
    from kling_effects_async.policy import MAX_VIDEO_BYTES as MAX_VIDEO_BYTES
    from kling_effects_async.policy import PollPolicy as PollPolicy
    from kling_effects_async.policy import RetryPolicy as RetryPolicy
    from kling_effects_async.policy import SharePolicy as SharePolicy
    from kling_effects_async.policy import SlotPolicy as SlotPolicy
    from kling_effects_async.policy import SubmitPolicy as SubmitPolicy
    from kling_effects_async.polling.task import EffectTask as EffectTask
    from kling_effects_async.protocol.services import Service as Service
    from kling_effects_async.scenes import Scene as Scene
    from kling_effects_async.scenes import SceneInfo as SceneInfo
    from kling_effects_async.scenes import catalogue as catalogue
    from kling_effects_async.settings import AccessKeys as AccessKeys
    from kling_effects_async.settings import BearerToken as BearerToken
    from kling_effects_async.settings import Credentials as Credentials
    from kling_effects_async.settings import Settings as Settings
    from kling_effects_async.stats import Budget as Budget
    from kling_effects_async.stats import ClientStats as ClientStats
    from kling_effects_async.submitting.planning import derived_id as derived_id
    from kling_effects_async.submitting.settling import Finding as Finding
    from kling_effects_async.telemetry.providers import Telemetry as Telemetry

# The modules and their public names, in the order of the floors.
_NAMES = {
    "effects": ["DualImageEffect", "Effect", "ImageSource", "SingleImageEffect"],
    "scenes": ["Scene", "SceneInfo", "catalogue"],
    "models": ["EffectResult", "TaskPage", "TaskSnapshot", "TaskStatus", "Video"],
    "outcomes": ["Done", "Failed", "Outcome"],
    "estimate": ["Estimate", "SceneEstimate"],
    "stats": ["Budget", "ClientStats"],
    "errors": [
        "AccountChangedError",
        "AccountError",
        "ApiError",
        "AuthenticationError",
        "BudgetExceededError",
        "ClientClosedError",
        "ClientDrainingError",
        "ClipNameTakenError",
        "ConcurrencyLimitError",
        "ContentRejectedError",
        "DownloadError",
        "EffectRejectedError",
        "ExternalIdTakenError",
        "IdempotencyConflictError",
        "ImageRejectedError",
        "ImageUnreadableError",
        "InvalidRequestError",
        "JobStateError",
        "JournalBusyError",
        "JournalDamagedError",
        "JournalError",
        "JournalFullError",
        "JournalVersionError",
        "KlingEffectsError",
        "NetworkError",
        "ProxyError",
        "RateLimitError",
        "ReplyError",
        "RequestTimeoutError",
        "ResultMissingError",
        "Scope",
        "ServiceError",
        "SettingsError",
        "SubmissionUncertainError",
        "TaskFailedError",
        "TaskNotFoundError",
        "TaskTimeoutError",
        "TlsError",
        "TransportError",
        "VideoExpiredError",
    ],
    "events": [
        "Event",
        "JobAccepted",
        "JobCancelled",
        "JobQueued",
        "JobRejected",
        "JobSubmitted",
        "JobUncertain",
        "SlotsChanged",
        "TaskChanged",
        "TaskEnded",
    ],
    "policy": [
        "MAX_VIDEO_BYTES",
        "PollPolicy",
        "RetryPolicy",
        "SharePolicy",
        "SlotPolicy",
        "SubmitPolicy",
    ],
    "settings": ["AccessKeys", "BearerToken", "Credentials", "Settings"],
    "protocol.services": ["Service"],
    "downloading.stream": ["VideoStream"],
    "images.checks": ["ImageFacts", "PreparedImage", "check_image", "prepare"],
    "callbacks.signature": ["CallbackVerdict"],
    "callbacks.messages": ["CallbackAnswer", "CallbackMessage", "CallbackStats"],
    "callbacks.receiver": ["CallbackReceiver"],
    "journal.job": ["Job", "JobState", "Transition"],
    "journal.sqlite.journal": ["Journal"],
    "polling.task": ["EffectTask"],
    "submitting.planning": ["derived_id"],
    "submitting.settling": ["Finding"],
    "bulk_item": ["BulkItem"],
    "listing": ["TaskListing"],
    "client_options": ["ClientOptions"],
    "event_hub": ["EventStream"],
    "telemetry.providers": ["Telemetry"],
    "client": ["EffectsClient", "UnknownSceneWarning"],
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

# Not for type checkers: they read no computed list, and with the function they would take every
# misspelled name for one of ours.
if not TYPE_CHECKING:
    __all__ = sorted(_MODULE_OF)

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
