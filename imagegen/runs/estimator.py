"""What a run should take and cost, from prices, keys and what the last run measured."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from imagegen.clock import Clock
from imagegen.engine.engine import max_in_flight
from imagegen.engine.estimate import Estimate, suppose
from imagegen.engine.eta import estimate
from imagegen.engine.spending import SpendTracker
from imagegen.providers.base import Provider
from imagegen.quota.pool import KeyPool
from imagegen.runs import accounting
from imagegen.times import day
from imagegen.workspace import credentials, model_checks
from imagegen.workspace.last_run import Measured
from imagegen.workspace.plan import Plan, chain_lengths
from imagegen.workspace.pricing import Expected
from imagegen.workspace.project import Project


class RunEstimator(NamedTuple):
    """Estimates runs of a project."""

    project: Project
    provider: Provider
    measured: Measured
    clock: Clock

    def estimate(self, plan: Plan, pool: KeyPool | None) -> Estimate:
        """Return how long drawing the plan takes and what it costs.

        `pool` has the keys; None for a provider that needs none.
        """
        chains = {style: Counter(chain_lengths(beats)) for style, beats in plan.styles.items()}
        pools, settings = self.project.key_pools, self.project.settings
        widths = {
            style: self.provider.max_concurrency
            if pool is None
            else max_in_flight(style, pools, lend=pool.lends, timeout=settings.timeout)
            for style in chains
        }
        each = self.price(plan).mean
        about_money = accounting.notes(self.project, self._highest(plan), self.clock)
        plain = estimate(
            chains, pool=pool, widths=widths, each=each, answer_seconds=self.answer_seconds
        )
        keyless = [style for style in chains if pool is not None and not pools[style]]
        without = sum(p.draw for style in keyless for p in plan.styles[style])
        return msgspec.structs.replace(
            plain,
            supposed=suppose(without, credentials.section(self.provider.name).per_minute),
            keys=None if pool is None else {style: len(pools[style]) for style in chains},
            image_size=settings.image_size,
            aspect_ratio=settings.aspect_ratio,
            thoughts_price=None if each is None else self._unknown_thoughts,
            notes=(*self.notes(plan), *about_money),
        )

    def _highest(self, plan: Plan) -> float | None:
        """Return what drawing the plan costs at most by the time its last request is sent."""
        expected = self.price(plan)
        highest = SpendTracker(self.project.price, expected=expected).highest
        if expected.mean is None or highest is None:
            return None
        return expected.mean * (plan.to_draw - 1) + highest if plan.to_draw else 0.0

    def price(self, plan: Plan) -> Expected:
        """Return what the images of a plan should cost."""
        thoughts = self.measured.thought_tokens or 0.0
        return model_checks.expected_cost(self.project, plan.drawn, thoughts)

    def notes(self, plan: Plan) -> Iterator[str]:
        """Yield what is worth knowing about the model that draws the plan."""
        return model_checks.notes(self.project, plan.drawn, day(self.clock.wall()))

    @property
    def answer_seconds(self) -> float | None:
        """How long images take to come: as last time with this model, else as it is listed."""
        seconds = self.measured.answer_seconds
        return self.project.table_entry.seconds if seconds is None else seconds

    @property
    def _unknown_thoughts(self) -> float | None:
        """US dollars per million tokens of thoughts, while their number is not known."""
        model, price = self.project.table_entry, self.project.price
        thinks = bool(model.thinking) and self.measured.thought_tokens is None
        return price.tokens.text_out if thinks and price and price.tokens else None
