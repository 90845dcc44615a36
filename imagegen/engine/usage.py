"""What an answer counts for: a request, tokens, money."""

from typing import Any

from imagegen.engine.attempt import Attempt, Saved
from imagegen.engine.state import PICTURE, RunState
from imagegen.errors import ImagegenError
from imagegen.providers.base import Usage


def record_usage(run: RunState, done: Attempt) -> dict[str, Any]:
    """Count an answer; returns what to report of it in any case.

    Called under the runtime's lock. The names are those of fields of `Progress`.
    """
    counts, result, charge = run.counts, done.result, done.charge
    counts.attempts += 1
    counts.requests += done.sent
    report = {"key": done.key, "seconds": round(done.seconds, 3)} if done.sent else {}
    cost = run.spending.record(charge)
    if isinstance(result, ImagegenError):
        return report | {"cost": cost}
    if isinstance(result, Saved):
        counts.max_latency = max(counts.max_latency, done.seconds)
        counts.total_latency += done.seconds
        counts.answers[PICTURE] += 1
    elif done.sent:
        counts.answers[result.kind.value] += 1
    usage = result.usage or Usage()
    counts.input_tokens += usage.input_tokens
    counts.output_tokens += usage.output_tokens
    counts.thought_tokens += usage.thought_tokens * charge.pictures
    if not charge.pictures:
        counts.lost += cost or 0.0
    return report | {
        "cost": cost,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
