"""One budget: the requests that a quota allows in any rolling minute."""

import zoneinfo

import pytest

from fakes import FakeClock
from imagegen.clock import WallTime, next_pacific_midnight, pacific_day
from imagegen.quota.budget import MARGIN, REMEMBER_SPENT, WINDOW, Budget, Grant

MINUTE = WINDOW + MARGIN
LIMIT = 9


def everyone_lives(holder: str) -> bool:
    """Take every process for a running one."""
    return True


class Desk:
    """A budget with a clock, and a process that leases from it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.clock = FakeClock()
        self.limit = limit
        self.budget = Budget.fresh(self.clock)
        self._last = 0

    def lease(self) -> int | None:
        """Take a lease if the budget is free."""
        now = self.clock.now()
        self.budget.refresh(self.clock, everyone_lives)
        if self.budget.free_at(now, self.limit) > now:
            return None
        self._last += 1
        self.budget.grant(Grant(self._last, now, "me"), self.limit, self.clock.wall())
        return self._last

    def send(self) -> int | None:
        """Take a lease and send its request at once."""
        grant = self.lease()
        if grant is not None:
            self.budget.sent({grant: self.clock.now()})
        return grant

    def send_all(self) -> list[int]:
        """Send as many requests as the budget allows now."""
        return list(iter(self.send, None))

    def refuse(self, grant: int, retry_after: float | None = None) -> None:
        """Answer a request with a 429."""
        self.budget.record_429(grant, self.clock.now(), self.limit, retry_after, 1.0)

    def wait(self) -> float:
        """Let the time pass until the budget is free; return how long that took."""
        seconds = self.budget.free_at(self.clock.now(), self.limit) - self.clock.now()
        self.clock.advance(max(0.0, seconds))
        return seconds


@pytest.fixture
def desk() -> Desk:
    """Return a budget of nine requests a minute."""
    return Desk()


def test_a_minutes_requests_may_leave_at_once(desk: Desk) -> None:
    """Nothing spaces the requests of a budget that nobody refused."""
    assert len(desk.send_all()) == LIMIT


def test_a_slot_is_free_a_minute_and_a_margin_after_its_request(desk: Desk) -> None:
    """Each request frees its place one window and a margin after it left."""
    desk.send()
    desk.clock.advance(20)
    assert len(desk.send_all()) == LIMIT - 1
    assert desk.wait() == pytest.approx(MINUTE - 20)
    assert len(desk.send_all()) == 1
    assert desk.wait() == pytest.approx(20)
    assert len(desk.send_all()) == LIMIT - 1


def test_a_request_that_has_not_left_counts_as_just_used(desk: Desk) -> None:
    """A lease holds its place for as long as the connection takes, and a minute beyond."""
    desk.limit = 1
    grant = desk.lease()
    assert grant is not None
    desk.clock.advance(300)
    assert desk.lease() is None
    desk.budget.sent({grant: desk.clock.now()})
    assert desk.wait() == pytest.approx(MINUTE)
    assert desk.lease() is not None


def test_a_lease_given_back_frees_its_place(desk: Desk) -> None:
    """A request that never left takes nothing from the minute or the day."""
    grants = [desk.lease() for _ in range(LIMIT)]
    assert desk.lease() is None
    assert grants[0] is not None
    desk.budget.revoke(grants[0])
    assert desk.budget.used_today(desk.clock.wall()) == LIMIT - 1
    assert desk.lease() is not None
    assert desk.lease() is None


def test_a_request_that_left_cannot_be_given_back(desk: Desk) -> None:
    """Giving back what the server has seen leaves it counted."""
    grants = desk.send_all()
    desk.budget.revoke(grants[0])
    assert desk.lease() is None
    assert desk.budget.used_today(desk.clock.wall()) == LIMIT


def test_a_lower_limit_counts_at_once(desk: Desk) -> None:
    """Requests already sent count against the new limit."""
    for _ in range(6):
        desk.send()
    desk.limit = 5
    assert desk.lease() is None
    desk.limit = 7
    assert desk.send_all() != []
    assert desk.budget.remaining(desk.clock.now(), desk.limit) == 0


def test_the_lowest_limit_of_running_processes_counts(desk: Desk) -> None:
    """Of two processes with different limits the lower limit holds while it runs."""
    desk.budget.limits = {"me": LIMIT, "other": 4}
    assert len(desk.send_all()) == 4
    desk.budget.refresh(desk.clock, lambda holder: holder == "me")
    now = desk.clock.now()
    assert desk.budget.free_at(now, LIMIT) <= now


def test_a_dead_processs_request_counts_from_when_it_is_found(desk: Desk) -> None:
    """Nobody knows when the request of a killed process left: at worst just now."""
    desk.limit = 1
    desk.lease()
    desk.clock.advance(1000)
    desk.budget.refresh(desk.clock, lambda holder: False)
    assert desk.budget.free_at(desk.clock.now(), 1) == pytest.approx(desk.clock.now() + MINUTE)
    desk.clock.advance(MINUTE)
    assert desk.lease() is not None


@pytest.mark.parametrize(
    ("told", "wait"), [(34.0, 34), (10.689, 10.689), (0.0, 1), (-5.0, 1), (1e9, 3600)]
)
def test_a_told_cool_down_is_kept_within_bounds(desk: Desk, told: float, wait: float) -> None:
    """What the service asks for is taken as one second to one hour."""
    grant = desk.send()
    assert grant is not None
    desk.refuse(grant, told)
    now = desk.clock.now()
    assert desk.budget.cool_until - now == pytest.approx(wait)
    assert desk.budget.free_at(now, LIMIT) >= now + wait


def test_untold_cool_downs_double_up_to_a_bound(desk: Desk) -> None:
    """Without a delay the pause begins small and doubles with each burst, to a minute."""
    waits = []
    for _ in range(7):
        desk.wait()
        grant = desk.send()
        assert grant is not None
        desk.refuse(grant)
        waits.append(desk.budget.cool_until - desk.clock.now())
    assert waits == pytest.approx([4, 8, 16, 32, 64, 64, 64])


def test_an_answer_makes_the_next_pause_small_again(desk: Desk) -> None:
    """After an answer that was no refusal the pauses begin anew."""
    for _ in range(3):
        desk.wait()
        desk.refuse(desk.send() or 0)
    desk.budget.answered()
    desk.wait()
    desk.refuse(desk.send() or 0)
    assert desk.budget.cool_until - desk.clock.now() == pytest.approx(4)


def test_one_burst_is_one_strike_however_slow_its_connections_are(desk: Desk) -> None:
    """Requests leased before the first refusal and sent after it don't lengthen the pause."""
    grants = [desk.lease() for _ in range(LIMIT)]
    start = desk.clock.now()
    for grant in grants:
        assert grant is not None
        desk.budget.sent({grant: desk.clock.now()})
        desk.refuse(grant)
        desk.clock.advance(0.1)
    assert desk.budget.cool_until == pytest.approx(start + 4)


def test_the_pace_becomes_what_the_server_granted(desk: Desk) -> None:
    """Nine sent and two refused: seven a minute from then on, evenly spaced."""
    grants = desk.send_all()
    desk.refuse(grants[3], 34)
    desk.refuse(grants[7], 34)
    assert desk.budget.throttled_limit == 7
    desk.clock.advance(120)
    assert len(desk.send_all()) == 1
    assert desk.wait() == pytest.approx(WINDOW / 7)


def test_a_burst_that_is_refused_altogether_halves_the_pace(desk: Desk) -> None:
    """Where nothing was granted the measure is zero, and half of the limit is tried."""
    for grant in desk.send_all():
        desk.refuse(grant, 5)
    assert desk.budget.throttled_limit == 5


def test_a_half_idle_budget_is_never_slowed_below_its_half(desk: Desk) -> None:
    """One refusal of a few requests says little of what a full minute would be granted."""
    grants = [desk.send() for _ in range(2)]
    desk.refuse(grants[0] or 0, 5)
    assert desk.budget.throttled_limit == 5


def test_the_pace_is_never_below_one(desk: Desk) -> None:
    """However often it is refused, a budget is tried once a minute."""
    for _ in range(12):
        desk.wait()
        desk.refuse(desk.send() or 0)
    assert desk.budget.throttled_limit == 1


def test_a_refusal_that_our_count_explains_leaves_the_pace_alone(desk: Desk) -> None:
    """Who sent more than the limit now allows learns nothing from being refused."""
    grants = desk.send_all()
    desk.limit = 5
    desk.refuse(grants[-1], 5)
    assert desk.budget.throttled_limit is None
    assert desk.budget.cool_until > desk.clock.now()


def test_the_pace_grows_by_one_with_each_clean_quarter_of_an_hour(desk: Desk) -> None:
    """A slowed budget gets one more a minute each 15 minutes, until it has its limit again."""
    grants = desk.send_all()
    desk.refuse(grants[0], 1)
    desk.refuse(grants[1], 1)
    paces = []
    for seconds in (890, 11, 900):
        desk.clock.advance(seconds)
        desk.send()
        paces.append(desk.budget.throttled_limit)
    assert paces == [7, 8, None]


def test_a_refusal_starts_the_clean_time_anew(desk: Desk) -> None:
    """The quarter of an hour counts from the last refusal."""
    grants = desk.send_all()
    desk.refuse(grants[0], 1)
    desk.clock.advance(600)
    desk.refuse(desk.send() or 0, 1)
    slowed = desk.budget.throttled_limit
    desk.clock.advance(600)
    desk.send()
    assert desk.budget.throttled_limit == slowed


def test_a_day_spent_is_believed_for_an_hour(desk: Desk) -> None:
    """Other runs believe that the day is spent for an hour, then one asks again."""
    wall = desk.clock.wall()
    desk.budget.spent_wall = wall
    assert desk.budget.spent_today(WallTime(wall + REMEMBER_SPENT - 1))
    assert not desk.budget.spent_today(WallTime(wall + REMEMBER_SPENT + 1))


def test_a_day_spent_ends_at_pacific_midnight(desk: Desk) -> None:
    """The day's quota begins anew at midnight on the US Pacific coast."""
    midnight = next_pacific_midnight(desk.clock.wall())
    desk.budget.spent_wall = midnight - 60
    assert desk.budget.spent_today(WallTime(midnight - 1))
    assert not desk.budget.spent_today(WallTime(midnight + 1))


@pytest.mark.parametrize("told", [1e15, -1e15, 2e11, -2e11])
def test_a_day_that_no_calendar_has_is_not_spent(desk: Desk, told: float) -> None:
    """Whatever a record says, no run ends for it."""
    desk.budget.spent_wall = told
    assert not desk.budget.spent_today(desk.clock.wall())


def test_an_answer_ends_a_day_that_was_spent(desk: Desk) -> None:
    """A quota that was raised in the middle of the day counts at once."""
    desk.budget.spent_wall = desk.clock.wall()
    desk.budget.answered()
    assert not desk.budget.spent_today(desk.clock.wall())


def test_the_days_requests_are_counted_until_pacific_midnight(desk: Desk) -> None:
    """Requests count for the Pacific day on which they were granted."""
    desk.send_all()
    assert desk.budget.used_today(desk.clock.wall()) == LIMIT
    assert desk.budget.used_today(next_pacific_midnight(desk.clock.wall())) == 0


@pytest.mark.parametrize(
    ("wall", "day", "midnight"),
    [
        (1_795_341_600.0, "2026-11-22", 1_795_420_800.0),
        (1_783_753_200.0 - 1, "2026-07-10", 1_783_753_200.0),
        (1_783_753_200.0, "2026-07-11", 1_783_839_600.0),
        # The day on which daylight saving time ends has 25 hours.
        (1_793_516_400.0, "2026-11-01", 1_793_516_400.0 + 25 * 3600),
    ],
)
def test_pacific_days_follow_daylight_saving_time(wall: float, day: str, midnight: float) -> None:
    """Days begin at midnight as clocks on the coast show it, in summer and in winter."""
    assert pacific_day(WallTime(wall)) == day
    assert next_pacific_midnight(WallTime(wall)) == midnight


def test_a_system_without_time_zones_uses_winter_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small container images have no time zone data: days then begin by winter time."""

    def missing(name: str) -> zoneinfo.ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    assert pacific_day(WallTime(1_795_341_600.0)) == "2026-11-22"
    assert next_pacific_midnight(WallTime(1_795_341_600.0)) == 1_795_420_800.0


@pytest.mark.parametrize("by", [-86_400.0, -30.0, 30.0, 86_400.0])
def test_a_wall_clock_set_within_a_boot_changes_nothing(desk: Desk, by: float) -> None:
    """Setting the clock neither frees the minute nor prolongs it."""
    desk.send_all()
    desk.clock.set_wall(by)
    assert desk.lease() is None
    assert desk.wait() == pytest.approx(MINUTE)


@pytest.mark.parametrize(
    ("away", "left"), [(20.0, MINUTE - 20), (0.0, MINUTE), (-86_400.0, MINUTE), (300.0, 0.0)]
)
def test_a_restart_carries_the_minute_over(desk: Desk, away: float, left: float) -> None:
    """Across boots the wall clock says what has passed; set back, it counts as nothing."""
    desk.send_all()
    desk.clock.reboot(away)
    desk.budget.refresh(desk.clock, everyone_lives)
    wait = desk.budget.free_at(desk.clock.now(), LIMIT) - desk.clock.now()
    assert max(0.0, wait) == pytest.approx(left)


def test_a_restart_carries_a_cool_down_over(desk: Desk) -> None:
    """A pause of the service's goes on after the machine was restarted."""
    desk.refuse(desk.send() or 0, 600)
    desk.clock.reboot(100)
    desk.budget.refresh(desk.clock, everyone_lives)
    assert desk.budget.cool_until - desk.clock.now() == pytest.approx(500)


def test_a_clock_set_back_over_a_restart_prolongs_no_cool_down(desk: Desk) -> None:
    """A pause of ten minutes is not a day long because the clock was set back by a day."""
    desk.refuse(desk.send() or 0, 600)
    desk.clock.reboot(-86_400)
    desk.budget.refresh(desk.clock, everyone_lives)
    assert desk.budget.cool_until - desk.clock.now() == pytest.approx(600)


def test_a_restart_on_a_system_that_names_no_boot_is_noticed(desk: Desk) -> None:
    """Seconds since boot that run backwards tell of a restart: no pause lasts for days."""
    desk.refuse(desk.send() or 0, 600)
    again = FakeClock(now=10.0, wall=desk.clock.wall() + 100)
    desk.budget.refresh(again, everyone_lives)
    assert desk.budget.cool_until - again.now() == pytest.approx(500)


def test_places_tell_when_each_of_the_minutes_requests_may_leave() -> None:
    """Free ones now, used ones when their minute is over, and none before a cool-down's end."""
    desk = Desk()
    assert desk.budget.free_slots(desk.clock.now(), LIMIT) == [(desk.clock.now(), LIMIT)]
    desk.send()
    desk.clock.advance(10)
    desk.send()
    now = desk.clock.now()
    assert desk.budget.free_slots(now, LIMIT) == [
        (now, 7),
        (now + MINUTE - 10, 1),
        (now + MINUTE, 1),
    ]
    # A lowered limit leaves the newest requests to wait for.
    assert desk.budget.free_slots(now, 2) == [(now + MINUTE - 10, 1), (now + MINUTE, 1)]
    assert desk.budget.free_slots(now, 1) == [(now + MINUTE, 1)]
    desk.budget.cool_until = now + 55
    assert desk.budget.free_slots(now, LIMIT) == [(now + 55, 7), (now + 55, 1), (now + MINUTE, 1)]


def test_a_request_that_has_not_left_counts_as_leaving_now() -> None:
    """Its place is free a minute from now at the soonest."""
    desk = Desk(limit=1)
    desk.lease()
    desk.clock.advance(5)
    assert desk.budget.free_slots(desk.clock.now(), 1) == [(desk.clock.now() + MINUTE, 1)]


def test_a_slowed_budget_has_one_place_at_a_time() -> None:
    """When the next request may leave; those after it follow at its pace."""
    desk = Desk()
    desk.send_all()
    desk.budget.throttled_limit = 6
    now = desk.clock.now()
    assert desk.budget.free_slots(now, LIMIT) == [(now + MINUTE, 1)]


# What the service says of its limit


def test_a_lower_limit_that_the_service_tells_counts(desk: Desk) -> None:
    """Its word is taken at once; a higher one frees nothing that we were not given."""
    desk.budget.set_server_limit(4, 0.0)
    assert len(desk.send_all()) == 4
    desk.clock.advance(MINUTE)
    desk.budget.set_server_limit(60, 0.0)
    assert len(desk.send_all()) == LIMIT


def test_nothing_leaves_until_the_service_has_something_again(desk: Desk) -> None:
    """Somebody else used the quota: our own count knows nothing of that."""
    desk.send()
    desk.budget.set_server_limit(None, desk.clock.now() + 25)
    assert desk.lease() is None
    assert desk.wait() == pytest.approx(25)
    assert len(desk.send_all()) == LIMIT - 1


def test_an_empty_quota_is_no_refusal(desk: Desk) -> None:
    """It slows no pace, and a 429 that follows is the first of its burst."""
    grant = desk.send()
    assert grant is not None
    desk.budget.set_server_limit(None, desk.clock.now() + 5)
    assert (desk.budget.consecutive_429s, desk.budget.throttled_limit) == (0, None)
    desk.refuse(grant)
    assert desk.budget.consecutive_429s == 1


def test_a_refusal_within_the_limit_that_was_told_is_not_explained_by_it(desk: Desk) -> None:
    """Five of six that were allowed, and refused: then the pace is what was granted."""
    desk.budget.set_server_limit(6, 0.0)
    grants = desk.send_all()
    assert len(grants) == 6
    desk.refuse(grants[-1])
    assert desk.budget.throttled_limit == 5


def test_no_word_of_the_service_holds_a_budget_for_more_than_an_hour(desk: Desk) -> None:
    """A record that says something absurd is put right when it is read."""
    desk.budget.empty_until = desk.clock.now() + 1e9
    desk.budget.clamp(desk.clock.now())
    assert desk.wait() == pytest.approx(3600)


def test_what_the_service_told_outlives_the_record(desk: Desk) -> None:
    """A record that is made anew takes along what this process has heard."""
    desk.budget.set_server_limit(4, desk.clock.now() + 30)
    anew = Budget.fresh(desk.clock)
    anew.merge(desk.budget)
    assert (anew.server_limit, anew.empty_until) == (4, desk.clock.now() + 30)
