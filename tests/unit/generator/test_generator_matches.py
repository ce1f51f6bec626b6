"""Generated matches: Match-V5 shape, consistent statistics, realistic distributions, determinism."""

import hashlib
import itertools
from collections import Counter, defaultdict
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.names import TRINKETS
from generator.accounts import POPULATION, all_accounts
from generator.champions import CHAMPIONS, MAX_STRENGTH, POSITIONS, champion_pool
from generator.match_factory import GeneratedMatch, MatchFactory, MatchSize
from generator.modes import MODE_NAMES, REALISTIC, RIFT_5V5, ModeWeights

START = 1_770_000_000_000
SIZES: tuple[MatchSize, ...] = ("compact", "full")

# The fields that the job reads: both sizes must contain them.
READ_OF_INFO = {
    "gameCreation", "gameDuration", "gameEndTimestamp", "gameStartTimestamp", "gameVersion", "participants",
    "platformId", "queueId",
}  # fmt: skip
READ_OF_PARTICIPANT = {
    "assists", "championName", "deaths", "gameEndedInEarlySurrender", "goldEarned", "kills", "neutralMinionsKilled",
    "participantId", "riotIdGameName", "riotIdTagline", "summonerName", "teamId", "teamPosition", "timePlayed",
    "totalDamageDealtToChampions", "totalMinionsKilled", "visionScore", "win",
}  # fmt: skip


def factory(
    size: MatchSize = "compact",
    seed: int = 7,
    start: int = START,
    empty: float = 0.0,
    modes: ModeWeights = RIFT_5V5,
) -> MatchFactory:
    return MatchFactory(seed=seed, size=size, start_ms=start, now=lambda: start, modes=modes, empty_positions=empty)


def matches_of(mode: str, size: MatchSize = "full", count: int = 40) -> list[GeneratedMatch]:
    generator = factory(size, modes={mode: 1})
    return [generator.next() for _ in range(count)]


def participants(match: GeneratedMatch) -> list[dict[str, Any]]:
    return list(match.data["info"]["participants"])


def team_sums(match: GeneratedMatch, field: str, team: str = "teamId") -> dict[int, int]:
    sums: dict[int, int] = defaultdict(int)
    for participant in participants(match):
        sums[participant[team]] += participant[field]
    return dict(sums)


@pytest.fixture(scope="module")
def compact_matches() -> list[GeneratedMatch]:
    generator = factory()
    return [generator.next() for _ in range(4000)]


@pytest.fixture(scope="module")
def full_matches() -> list[GeneratedMatch]:
    generator = factory("full", empty=0.2)
    return [generator.next(remake=number % 20 == 0) for number in range(200)]


class TestDeterminism:
    @pytest.mark.parametrize("size", SIZES)
    def test_same_seed_and_start_give_the_same_bytes(self, size: MatchSize) -> None:
        first, second = factory(size, empty=0.3), factory(size, empty=0.3)
        for number in range(50):
            remake = number % 7 == 0
            assert first.next(remake=remake).encode() == second.next(remake=remake).encode()

    def test_compact_matches_of_a_seed_keep_their_bytes(self) -> None:
        """The drain benchmark compares commits: a change of the load is not one of the job."""
        generator = factory()
        values = b"".join(generator.next(remake=number % 20 == 0).encode() for number in range(200))
        assert hashlib.sha256(values).hexdigest().startswith("27bbaf8cd8500568a05fb191f309f5de")

    @given(
        seeds=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), starts=st.tuples(st.integers(1, 3), st.just(2))
    )
    @settings(max_examples=50, deadline=None)
    def test_match_ids_collide_only_if_seed_and_start_are_equal(
        self, seeds: tuple[int, int], starts: tuple[int, int]
    ) -> None:
        (a, b) = (
            {generator.next().data["info"]["gameId"] for _ in range(20)}
            for generator in (
                factory(seed=seed, start=START + start) for seed, start in zip(seeds, starts, strict=True)
            )
        )
        same = seeds[0] == seeds[1] and starts[0] == starts[1]
        assert (a == b) if same else a.isdisjoint(b)

    def test_game_ids_are_exact_as_doubles(self) -> None:
        for seed in range(200):
            number = factory(seed=seed).next().data["info"]["gameId"]
            assert int(float(number)) == number

    def test_match_ids_are_unique(self, compact_matches: list[GeneratedMatch]) -> None:
        assert len({match.id for match in compact_matches}) == len(compact_matches)


@pytest.mark.parametrize("size", SIZES)
class TestShape:
    def matches(self, size: MatchSize, count: int = 60) -> list[GeneratedMatch]:
        generator = factory(size, seed=11)
        return [generator.next() for _ in range(count)]

    def test_serialized_size(self, size: MatchSize) -> None:
        low, high = {"compact": (3_000, 5_000), "full": (76_000, 90_000)}[size]
        sizes = [len(match.encode()) for match in self.matches(size)]
        assert low <= min(sizes) <= max(sizes) <= high

    def test_contains_the_fields_that_the_job_reads(self, size: MatchSize) -> None:
        for match in self.matches(size, 5):
            assert set(match.data) == {"metadata", "info"}
            assert set(match.data["info"]) >= READ_OF_INFO
            for participant in participants(match):
                assert set(participant) >= READ_OF_PARTICIPANT

    def test_ids_are_consistent(self, size: MatchSize) -> None:
        for match in self.matches(size, 5):
            info, metadata = match.data["info"], match.data["metadata"]
            assert match.id == metadata["matchId"] == f"{info['platformId']}_{info['gameId']}"
            assert len(set(metadata["participants"])) == 10
            assert {len(puuid) for puuid in metadata["participants"]} == {78}

    def test_ten_participants_two_teams_five_positions(self, size: MatchSize) -> None:
        for match in self.matches(size):
            ten = participants(match)
            assert [p["participantId"] for p in ten] == list(range(1, 11))
            seats = [(team, position) for team in (100, 200) for position in POSITIONS]
            assert [(p["teamId"], p["teamPosition"]) for p in ten] == seats
            assert len({p["championName"] for p in ten}) == 10
            assert {p["win"] for p in ten[:5]} != {p["win"] for p in ten[5:]}

    def test_json_round_trip(self, size: MatchSize) -> None:
        for match in self.matches(size, 5):
            assert orjson.loads(match.encode()) == match.data


class TestFullShape:
    def test_field_counts(self, full_matches: list[GeneratedMatch]) -> None:
        for match in full_matches[:20]:
            for participant in participants(match):
                scalars = [value for value in participant.values() if not isinstance(value, dict)]
                assert 135 <= len(scalars) <= 160
                assert 120 <= len(participant["challenges"]) <= 150
                assert isinstance(participant["challenges"]["legendaryItemUsed"], list)
                assert [style["description"] for style in participant["perks"]["styles"]] == [
                    "primaryStyle",
                    "subStyle",
                ]

    def test_same_fields_in_every_match(self, full_matches: list[GeneratedMatch]) -> None:
        assert len({frozenset(p) for match in full_matches for p in participants(match)}) == 1
        assert len({frozenset(p["challenges"]) for match in full_matches for p in participants(match)}) == 1

    def test_compact_match_is_a_subset_of_the_full_match(self) -> None:
        small, large = factory("compact").next().data, factory("full").next().data
        riot_id = {"riotIdGameName"}  # of compact matches it is always the same, since they have no puuid
        assert small["metadata"] == large["metadata"]
        for field, value in small["info"].items():
            if field != "participants":
                assert large["info"][field] == value
        for few, many in zip(small["info"]["participants"], large["info"]["participants"], strict=True):
            assert few.keys() <= many.keys()
            assert all(value == many[field] for field, value in few.items() if field not in riot_id)

    def test_riots_derived_figures_are_consistent_with_the_fields(self, full_matches: list[GeneratedMatch]) -> None:
        for match in full_matches:
            duration = match.data["info"]["gameDuration"]
            for p in participants(match):
                challenges = p["challenges"]
                assert int(challenges["gameLength"]) == duration == p["timePlayed"]
                assert challenges["kda"] == (p["kills"] + p["assists"]) / max(1, p["deaths"])
                # Riot divides by the exact length; gameDuration has whole seconds.
                tolerance = 1 / duration
                assert challenges["goldPerMinute"] == pytest.approx(p["goldEarned"] / (duration / 60), rel=tolerance)
                assert challenges["damagePerMinute"] == pytest.approx(
                    p["totalDamageDealtToChampions"] / (duration / 60), rel=tolerance
                )

    def test_damage_adds_up(self, full_matches: list[GeneratedMatch]) -> None:
        for p in itertools.chain.from_iterable(map(participants, full_matches)):
            for suffix in ("Dealt", "DealtToChampions", "Taken"):
                parts = sum(p[f"{kind}Damage{suffix}"] for kind in ("physical", "magic", "true"))
                assert parts == p[f"totalDamage{suffix}"]

    def test_objectives_are_consistent_with_participants(self, full_matches: list[GeneratedMatch]) -> None:
        for match in full_matches:
            towers, dragons, kills = (team_sums(match, field) for field in ("turretKills", "dragonKills", "kills"))
            for team in match.data["info"]["teams"]:
                taken, team_id = team["objectives"], team["teamId"]
                assert taken["tower"]["kills"] == towers[team_id]
                assert taken["dragon"]["kills"] == dragons[team_id]
                assert taken["champion"]["kills"] == kills[team_id]
                lost = {p["turretsLost"] for p in participants(match) if p["teamId"] != team_id}
                assert lost == {towers[team_id]}
                assert {p["win"] for p in participants(match) if p["teamId"] == team_id} == {team["win"]}

    def test_winner_took_the_five_towers_in_front_of_a_nexus(self, full_matches: list[GeneratedMatch]) -> None:
        for match in full_matches:
            (winner,) = (team for team in match.data["info"]["teams"] if team["win"])
            towers = winner["objectives"]["tower"]["kills"]
            assert towers == 0 if match.remake else towers >= 5

    @pytest.mark.parametrize("objective", ["riftHerald", "atakhan"])
    def test_objective_that_exists_once_is_taken_by_one_team(
        self, objective: str, full_matches: list[GeneratedMatch]
    ) -> None:
        kills = [
            sum(team["objectives"][objective]["kills"] for team in match.data["info"]["teams"])
            for match in full_matches
        ]
        assert max(kills) == 1

    @pytest.mark.parametrize("objective", ["dragon", "tower", "baron"])
    def test_team_with_more_objectives_usually_wins(self, objective: str, full_matches: list[GeneratedMatch]) -> None:
        wins = []
        for match in full_matches:
            one, other = match.data["info"]["teams"]
            ahead = one["objectives"][objective]["kills"] - other["objectives"][objective]["kills"]
            if ahead:
                wins.append((one if ahead > 0 else other)["win"])
        assert 0.6 < sum(wins) / len(wins) < 1

    def test_nobody_plays_a_banned_champion(self, full_matches: list[GeneratedMatch]) -> None:
        for match in full_matches:
            played = {p["championId"] for p in participants(match)}
            for team in match.data["info"]["teams"]:
                assert len(team["bans"]) == 5
                banned = [ban["championId"] for ban in team["bans"] if ban["championId"] != -1]
                assert len(set(banned)) == len(banned)
                assert played.isdisjoint(banned)

    def test_killing_sprees_and_multikills_are_possible_with_the_kills(
        self, full_matches: list[GeneratedMatch]
    ) -> None:
        for p in itertools.chain.from_iterable(map(participants, full_matches)):
            assert p["largestKillingSpree"] <= p["kills"]
            assert p["largestMultiKill"] <= p["kills"]
            assert 2 * p["doubleKills"] + p["tripleKills"] + p["quadraKills"] + p["pentaKills"] <= max(1, p["kills"])
            assert bool(p["killingSprees"]) == bool(p["largestKillingSpree"])
        assert max(sum(p["firstBloodKill"] for p in participants(match)) for match in full_matches) == 1


class TestTimes:
    @given(now=st.integers(1_500_000_000_000, 2_000_000_000_000), seed=st.integers(0, 1000), remake=st.booleans())
    @settings(max_examples=50, deadline=None)
    def test_the_game_ended_just_before_now(self, now: int, seed: int, remake: bool) -> None:
        info = MatchFactory(seed=seed, size="compact", start_ms=now, now=lambda: now).next(remake=remake).data["info"]
        played = info["participants"][0]["timePlayed"]
        assert info["gameCreation"] < info["gameStartTimestamp"]
        assert info["gameStartTimestamp"] + played * 1000 <= info["gameEndTimestamp"]
        assert now - 1000 <= info["gameEndTimestamp"] < now

    def test_duration_is_in_seconds(self, compact_matches: list[GeneratedMatch]) -> None:
        for match in compact_matches:
            info = match.data["info"]
            length_ms = info["gameEndTimestamp"] - info["gameStartTimestamp"]
            assert info["gameDuration"] == match.duration == length_ms // 1000
            assert {p["timePlayed"] for p in participants(match)} == {match.duration}

    def test_durations_are_distributed_from_15_to_45_minutes(self, compact_matches: list[GeneratedMatch]) -> None:
        durations = sorted(match.duration for match in compact_matches)
        assert durations[0] >= 15 * 60
        assert durations[-1] <= 45 * 60
        assert 28 * 60 < durations[len(durations) // 2] < 33 * 60
        assert durations[len(durations) // 10] < 25 * 60 < 36 * 60 < durations[-len(durations) // 10]

    def test_remakes_are_short_and_marked_in_all_participants(self) -> None:
        generator = factory("full")
        for match in (generator.next(remake=True) for _ in range(50)):
            assert match.remake
            assert 90 <= match.duration <= 300
            assert {p["gameEndedInEarlySurrender"] for p in participants(match)} == {True}
            assert {p["teamEarlySurrendered"] for p in participants(match)} == {True, False}


class TestStatistics:
    def test_deaths_of_a_team_are_the_kills_of_the_other(self, compact_matches: list[GeneratedMatch]) -> None:
        for match in compact_matches:
            kills, deaths = team_sums(match, "kills"), team_sums(match, "deaths")
            assert (kills[100], kills[200]) == (deaths[200], deaths[100])

    def test_assists_do_not_exceed_the_kills_of_team_mates(self, compact_matches: list[GeneratedMatch]) -> None:
        for match in compact_matches:
            kills = team_sums(match, "kills")
            for p in participants(match):
                assert 0 <= p["assists"] <= kills[p["teamId"]] - p["kills"]

    def test_winners_usually_have_more_kills_and_gold(self, compact_matches: list[GeneratedMatch]) -> None:
        ahead: dict[str, int] = defaultdict(int)
        for match in compact_matches:
            winner = next(p["teamId"] for p in participants(match) if p["win"])
            for field in ("kills", "goldEarned"):
                sums = team_sums(match, field)
                ahead[field] += sums[winner] > sums[300 - winner]
        assert 0.8 < ahead["kills"] / len(compact_matches) < 1
        assert 0.9 < ahead["goldEarned"] / len(compact_matches) < 1

    def test_positions_have_typical_statistics(self, compact_matches: list[GeneratedMatch]) -> None:
        sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for p in itertools.chain.from_iterable(map(participants, compact_matches)):
            for field in ("totalMinionsKilled", "neutralMinionsKilled", "visionScore", "goldEarned"):
                sums[p["teamPosition"]][field] += p[field]
        support, jungle = sums.pop("UTILITY"), sums.pop("JUNGLE")
        for lane in sums.values():
            assert lane["totalMinionsKilled"] > 5 * support["totalMinionsKilled"]
            assert support["visionScore"] > 2 * lane["visionScore"]
            assert jungle["neutralMinionsKilled"] > 10 * lane["neutralMinionsKilled"]
            assert lane["goldEarned"] > support["goldEarned"]

    def test_longer_games_give_more_gold(self, compact_matches: list[GeneratedMatch]) -> None:
        by_length = sorted(compact_matches, key=lambda match: match.duration)
        quarter = len(by_length) // 4
        short, long = (
            sum(sum(team_sums(match, "goldEarned").values()) for match in part)
            for part in (by_length[:quarter], by_length[-quarter:])
        )
        assert long > 1.4 * short

    def test_empty_position_is_that_of_one_player(self) -> None:
        generator = factory("full", empty=1.0)
        for match in (generator.next() for _ in range(30)):
            (empty,) = [p for p in participants(match) if not p["teamPosition"]]
            assert empty["individualPosition"] == "Invalid"


QUEUES = {
    "ranked_solo": {420},
    "ranked_flex": {440},
    "normal": {400},
    "quickplay": {490},
    "aram": {450},
    "arena_16": {1700, 1710},
    "arena_18": {1750},
    "swarm": {1810, 1820, 1830, 1840},
    "coop": {870, 880, 890},
}
TWO_TEAM_MODES = ["ranked_solo", "quickplay", "aram", "coop"]


class TestModes:
    def test_realistic_shares(self) -> None:
        generator = factory(modes=REALISTIC)
        queues = Counter(generator.next().data["info"]["queueId"] for _ in range(4000))
        for mode, share in REALISTIC.items():
            assert sum(queues[id_] for id_ in QUEUES[mode]) / 40 == pytest.approx(share, abs=2.5), mode
        assert set(queues) == set().union(*QUEUES.values())

    @pytest.mark.parametrize("size", SIZES)
    def test_same_seed_gives_the_same_bytes_in_all_modes(self, size: MatchSize) -> None:
        first, second = (factory(size, modes=REALISTIC) for _ in range(2))
        assert [first.next().encode() for _ in range(60)] == [second.next().encode() for _ in range(60)]

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("mode", MODE_NAMES)
    def test_mode_has_its_queues_and_the_fields_that_the_job_reads(self, mode: str, size: MatchSize) -> None:
        matches = matches_of(mode, size)
        assert {match.data["info"]["queueId"] for match in matches} == QUEUES[mode]
        for match in matches[:10]:
            assert set(match.data["info"]) >= READ_OF_INFO
            players = participants(match)
            assert [p["participantId"] for p in players] == list(range(1, len(players) + 1))
            assert len({p["championName"] for p in players}) == len(players)
            for p in players:
                assert set(p) >= READ_OF_PARTICIPANT
                assert 0 < p["timePlayed"] <= match.duration

    @pytest.mark.parametrize("mode", MODE_NAMES)
    def test_item_in_the_last_slot_is_a_trinket_which_tables_of_items_leave_out(self, mode: str) -> None:
        last = {p["item6"] for match in matches_of(mode, "full") for p in participants(match)}
        expected = {"aram": {2052}, "arena_16": {3348}, "arena_18": {3348}, "swarm": {0}}
        assert last == expected.get(mode, {3340, 3363, 3364})
        assert last <= {0, *TRINKETS}

    @pytest.mark.parametrize("mode", TWO_TEAM_MODES)
    def test_two_teams_kill_each_other_and_one_wins(self, mode: str) -> None:
        for match in matches_of(mode):
            kills, deaths = team_sums(match, "kills"), team_sums(match, "deaths")
            assert (kills[100], kills[200]) == (deaths[200], deaths[100])
            assert len({p["win"] for p in participants(match) if p["teamId"] == 100}) == 1
            teams = {team["teamId"]: team for team in match.data["info"]["teams"]}
            assert {id_: team["objectives"]["champion"]["kills"] for id_, team in teams.items()} == kills
            assert {team["win"] for team in teams.values()} == {True, False}
            assert sum(p["firstBloodKill"] for p in participants(match)) == (sum(kills.values()) > 0)

    def test_remakes_are_of_modes_with_two_teams(self) -> None:
        generator = factory(modes={"arena_16": 5, "swarm": 5, "aram": 1})
        assert {generator.next(remake=True).data["info"]["queueId"] for _ in range(20)} == {450}
        with pytest.raises(ValueError, match="none of the modes has remakes"):
            factory(modes={"arena_16": 1}).next(remake=True)

    def test_aram_has_no_positions_wards_monsters_or_bans(self) -> None:
        for match in matches_of("aram"):
            assert (match.data["info"]["gameMode"], match.data["info"]["mapId"]) == ("ARAM", 12)
            assert [team["bans"] for team in match.data["info"]["teams"]] == [[], []]
            for p in participants(match):
                assert (p["teamPosition"], p["wardsPlaced"], p["visionScore"], p["dragonKills"]) == ("", 0, 0, 0)

    @pytest.mark.parametrize(("mode", "teams", "size"), [("arena_16", 8, 2), ("arena_18", 6, 3)])
    def test_arena_teams_play_for_a_placement_and_the_better_half_has_team_id_100(
        self, mode: str, teams: int, size: int
    ) -> None:
        for match in matches_of(mode):
            assert (match.data["info"]["gameMode"], match.data["info"]["mapId"]) == ("CHERRY", 30)
            players = participants(match)
            assert Counter(p["playerSubteamId"] for p in players) == dict.fromkeys(range(1, teams + 1), size)
            assert len({(p["playerSubteamId"], p["placement"]) for p in players}) == teams
            for p in players:
                assert p["win"] is (p["placement"] <= teams // 2) is (p["teamId"] == 100)
                assert p["subteamPlacement"] == p["placement"]
                assert sum(p[f"playerAugment{number}"] > 0 for number in range(1, 7)) == max(2, 6 - p["placement"])
                assert (p["teamPosition"], p["totalMinionsKilled"], p["wardsPlaced"]) == ("", 0, 0)
                assert {p[f"item{slot}"] // 1000 for slot in range(6)} <= set(range(220, 229)) | {0}
                assert {style["style"] for style in p["perks"]["styles"]} == {0}
                assert "challenges" not in p
            assert max(p["timePlayed"] for p in players) == match.duration
            kills, deaths = (team_sums(match, field, "playerSubteamId") for field in ("kills", "deaths"))
            assert sum(kills.values()) == sum(deaths.values())
            # Nobody kills the own team.
            assert all(kills[team] <= sum(deaths.values()) - deaths[team] for team in kills)
            assert all(p["assists"] <= kills[p["playerSubteamId"]] - p["kills"] for p in players)

    def test_swarm_is_one_team_without_champion_kills_and_pauses_do_not_count_as_played(self) -> None:
        results, paused = set(), 0
        for match in matches_of("swarm"):
            info, players = match.data["info"], participants(match)
            assert (info["gameMode"], info["mapId"]) == ("STRAWBERRY", 33)
            assert len(players) == (info["queueId"] - 1800) // 10
            assert [team["teamId"] for team in info["teams"]] == [100]
            assert {p["teamId"] for p in players} == {100}
            assert {p["win"] for p in players} == {info["teams"][0]["win"]}
            results.add(info["teams"][0]["win"])
            paused += match.duration > max(p["timePlayed"] for p in players)
            for p in players:
                assert p["championName"].startswith("Strawberry_")
                assert (p["kills"], p["assists"], p["teamPosition"]) == (0, 0, "")
                assert p["totalDamageDealtToChampions"] < p["totalDamageDealt"] / 1000
        assert results == {True, False}
        assert paused > 30

    def test_coop_has_five_bots_without_an_identity_who_usually_lose(self) -> None:
        wins = 0
        for match in matches_of("coop"):
            players = participants(match)
            assert [p["puuid"] == "BOT" for p in players] == [False] * 5 + [True] * 5
            assert match.data["metadata"]["participants"] == [p["puuid"] for p in players]
            assert all((p["riotIdGameName"], p["summonerName"]) == ("", p["championName"]) for p in players[5:])
            assert all(p["riotIdGameName"] and not p["summonerName"] for p in players[:5])
            wins += players[0]["win"]
        assert wins > 30


class TestChampions:
    def test_champion_names_and_ids_are_unique(self) -> None:
        assert 160 <= len(CHAMPIONS) <= 180
        assert len({champion.name for champion in CHAMPIONS}) == len(CHAMPIONS)
        assert len({champion.id for champion in CHAMPIONS}) == len(CHAMPIONS)
        known = {champion.name: champion.id for champion in CHAMPIONS}
        assert known["MonkeyKing"] == 62
        assert known["Kaisa"] == 145
        assert known["FiddleSticks"] == 9
        assert max(abs(champion.strength) for champion in CHAMPIONS) == pytest.approx(MAX_STRENGTH)

    @pytest.mark.parametrize("position", POSITIONS)
    def test_each_position_has_enough_champions(self, position: str) -> None:
        assert len(champion_pool(position).champions) >= 20

    def test_champion_popularity_is_skewed(self, compact_matches: list[GeneratedMatch]) -> None:
        games: dict[str, int] = defaultdict(int)
        for p in itertools.chain.from_iterable(map(participants, compact_matches)):
            games[p["championName"]] += 1
        ranked = sorted(games.values(), reverse=True)
        assert len(ranked) == len(CHAMPIONS)
        assert ranked[0] < 0.45 * len(compact_matches)
        assert ranked[0] > 5 * ranked[len(ranked) // 2]

    def test_stronger_champions_win_more(self, compact_matches: list[GeneratedMatch]) -> None:
        strength = {champion.name: champion.strength for champion in CHAMPIONS}
        wins: dict[bool, list[bool]] = {True: [], False: []}
        for p in itertools.chain.from_iterable(map(participants, compact_matches)):
            if abs(strength[p["championName"]]) > MAX_STRENGTH / 2:
                wins[strength[p["championName"]] > 0].append(p["win"])
        strong, weak = (sum(wins[key]) / len(wins[key]) for key in (True, False))
        assert 0.515 < strong < 0.56
        assert 0.44 < weak < 0.485

    def test_champions_have_favourite_keystones_and_items(self) -> None:
        generator = factory("full")
        games = [p for _ in range(500) for p in participants(generator.next()) if p["championName"] == "Jinx"]
        keystones = Counter(p["perks"]["styles"][0]["selections"][0]["perk"] for p in games)
        items = Counter(p[f"item{slot}"] for p in games for slot in range(6) if p[f"item{slot}"])
        for counted in (keystones, items):
            assert counted.most_common(1)[0][1] > 3 * sum(counted.values()) / len(counted)


class TestAccounts:
    def test_names_are_riot_ids(self) -> None:
        accounts = all_accounts()
        assert len(accounts) == POPULATION == len({account.puuid for account in accounts})
        assert all(1 <= len(account.game_name) <= 16 and account.tag_line for account in accounts)
        assert any(not account.game_name.isascii() for account in accounts)

    def test_player_has_another_riot_id_now_and_then(self) -> None:
        days = [START + day * 86_400_000 for day in range(60)]
        changes = [
            sum(account.game_name_at(one) != account.game_name_at(other) for one, other in itertools.pairwise(days))
            for account in all_accounts()
        ]
        assert set(changes) == {1, 2}

    def test_player_returns_with_the_same_puuid_and_the_riot_id_of_the_time(self) -> None:
        by_puuid = {account.puuid: account for account in all_accounts()}
        names = defaultdict(set)
        for start in (START, START + 40 * 86_400_000):
            generator = factory("full", start=start)
            for match in (generator.next() for _ in range(50)):
                for p in participants(match):
                    game_start = match.data["info"]["gameStartTimestamp"]
                    assert p["riotIdGameName"] == by_puuid[p["puuid"]].game_name_at(game_start)
                    names[p["puuid"]].add(p["riotIdGameName"])
        assert 2 in map(len, names.values())


def test_log_text_of_a_match() -> None:
    match = GeneratedMatch(id="EUW1_1", data={}, winner="SEA", loser="PHX", duration=1845, remake=False)
    assert str(match) == "SEA_win vs. PHX_lose | Duration: 1845s"
    generator = factory()
    assert all(match.winner != match.loser for match in (generator.next() for _ in range(500)))
