"""Async client for Kling's video effects: a photograph in, a short clip out, paid once.

``import kling_effects_async`` is cheap: every name below is loaded at its first use, and aiohttp at
the first request.
"""

from __future__ import annotations

from importlib import import_module

# Known to type checkers. To import ``typing`` takes five times as long as all the rest here.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from kling_effects_async.client import EffectsClient, UnknownSceneWarning
    from kling_effects_async.client_options import ClientOptions
    from kling_effects_async.effects import (
        DualImageEffect,
        Effect,
        ImageSource,
        SingleImageEffect,
    )
    from kling_effects_async.errors import (
        AccountChangedError,
        AccountError,
        ApiError,
        AuthenticationError,
        BudgetExceededError,
        ClientClosedError,
        ConcurrencyLimitError,
        ContentRejectedError,
        DownloadError,
        EffectRejectedError,
        ExternalIdTakenError,
        IdempotencyConflictError,
        ImageRejectedError,
        ImageUnreadableError,
        InvalidRequestError,
        JobStateError,
        JournalBusyError,
        JournalDamagedError,
        JournalError,
        JournalFullError,
        JournalVersionError,
        KlingEffectsError,
        NetworkError,
        ProxyError,
        RateLimitError,
        ReplyError,
        RequestTimeoutError,
        ResultMissingError,
        Scope,
        ServiceError,
        SettingsError,
        SubmissionUncertainError,
        TaskFailedError,
        TaskNotFoundError,
        TaskTimeoutError,
        TlsError,
        TransportError,
        VideoExpiredError,
    )
    from kling_effects_async.images.checks import (
        ImageFacts,
        PreparedImage,
        check_image,
        prepare,
    )
    from kling_effects_async.journal.job import Job, JobState, Transition
    from kling_effects_async.journal.sqlite.journal import Journal
    from kling_effects_async.listing import TaskListing
    from kling_effects_async.models import (
        EffectResult,
        TaskPage,
        TaskSnapshot,
        TaskStatus,
        Video,
    )
    from kling_effects_async.outcomes import Done, Failed, Outcome
    from kling_effects_async.policy import (
        MAX_VIDEO_BYTES,
        PollPolicy,
        RetryPolicy,
        SlotPolicy,
        SubmitPolicy,
    )
    from kling_effects_async.polling.task import EffectTask
    from kling_effects_async.protocol.services import Service
    from kling_effects_async.scenes import Scene, SceneInfo, catalogue
    from kling_effects_async.settings import AccessKeys, BearerToken, Credentials, Settings
    from kling_effects_async.stats import ClientStats
    from kling_effects_async.submitting.planning import derived_id
    from kling_effects_async.submitting.settling import Finding

__all__ = [
    "MAX_VIDEO_BYTES",
    "AccessKeys",
    "AccountChangedError",
    "AccountError",
    "ApiError",
    "AuthenticationError",
    "BearerToken",
    "BudgetExceededError",
    "ClientClosedError",
    "ClientOptions",
    "ClientStats",
    "ConcurrencyLimitError",
    "ContentRejectedError",
    "Credentials",
    "Done",
    "DownloadError",
    "DualImageEffect",
    "Effect",
    "EffectRejectedError",
    "EffectResult",
    "EffectTask",
    "EffectsClient",
    "ExternalIdTakenError",
    "Failed",
    "Finding",
    "IdempotencyConflictError",
    "ImageFacts",
    "ImageRejectedError",
    "ImageSource",
    "ImageUnreadableError",
    "InvalidRequestError",
    "Job",
    "JobState",
    "JobStateError",
    "Journal",
    "JournalBusyError",
    "JournalDamagedError",
    "JournalError",
    "JournalFullError",
    "JournalVersionError",
    "KlingEffectsError",
    "NetworkError",
    "Outcome",
    "PollPolicy",
    "PreparedImage",
    "ProxyError",
    "RateLimitError",
    "ReplyError",
    "RequestTimeoutError",
    "ResultMissingError",
    "RetryPolicy",
    "Scene",
    "SceneInfo",
    "Scope",
    "Service",
    "ServiceError",
    "Settings",
    "SettingsError",
    "SingleImageEffect",
    "SlotPolicy",
    "SubmissionUncertainError",
    "SubmitPolicy",
    "TaskFailedError",
    "TaskListing",
    "TaskNotFoundError",
    "TaskPage",
    "TaskSnapshot",
    "TaskStatus",
    "TaskTimeoutError",
    "TlsError",
    "Transition",
    "TransportError",
    "UnknownSceneWarning",
    "Video",
    "VideoExpiredError",
    "catalogue",
    "check_image",
    "derived_id",
    "prepare",
]

# Where each public name lives. The order is the order of the floors, for whoever reads it.
_HOMES = {
    "effects": ["DualImageEffect", "Effect", "ImageSource", "SingleImageEffect"],
    "scenes": ["Scene", "SceneInfo", "catalogue"],
    "models": ["EffectResult", "TaskPage", "TaskSnapshot", "TaskStatus", "Video"],
    "outcomes": ["Done", "Failed", "Outcome"],
    "stats": ["ClientStats"],
    "policy": ["MAX_VIDEO_BYTES", "PollPolicy", "RetryPolicy", "SlotPolicy", "SubmitPolicy"],
    "settings": ["AccessKeys", "BearerToken", "Credentials", "Settings"],
    "protocol.services": ["Service"],
    "images.checks": ["ImageFacts", "PreparedImage", "check_image", "prepare"],
    "polling.task": ["EffectTask"],
    "journal.job": ["Job", "JobState", "Transition"],
    "journal.sqlite.journal": ["Journal"],
    "submitting.planning": ["derived_id"],
    "submitting.settling": ["Finding"],
    "listing": ["TaskListing"],
    "client_options": ["ClientOptions"],
    "client": ["EffectsClient", "UnknownSceneWarning"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF.get(name, "errors")  # all the rest of __all__ are errors
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
