"""Alternatives to the job: three plain Kafka consumers that index the same documents (without the teams)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from elasticsearch import OrjsonSerializer, helpers

from bench.in_network.workload import ConsumerKind, Timing, Workload, consume_batches, load_workload, print_timing
from job.champions import canonical_name
from job.queues import queue_name
from job.times import iso

Loads = Callable[[bytes], dict[str, Any]]

MAX_BATCH_MESSAGES = 500


def with_parallel_bulk(workload: Workload) -> None:
    """An optimized consumer: orjson in both directions, and `parallel_bulk` sends requests while it reads on."""
    client = workload.elasticsearch(
        serializer=OrjsonSerializer(),
        connections_per_node=workload.connections,
        request_timeout=60,
        max_retries=5,
        retry_on_timeout=True,
    )
    actions = (
        action
        for batch in consume_batches(workload, MAX_BATCH_MESSAGES)
        for message in batch
        for action in bulk_actions(message, orjson.loads, workload.index)
    )
    for _ in helpers.parallel_bulk(client, actions, thread_count=workload.connections, chunk_size=2000):
        pass


def with_bulk(workload: Workload) -> None:
    """The consumer of a tutorial: `json.loads`, and `helpers.bulk` for each batch of messages."""
    client = workload.elasticsearch()
    for batch in consume_batches(workload, MAX_BATCH_MESSAGES):
        actions = (action for message in batch for action in bulk_actions(message, json.loads, workload.index))
        helpers.bulk(client, actions)


def with_single_index(workload: Workload) -> None:
    """The consumer of a first script: one `index()` request for each document."""
    client = workload.elasticsearch()
    for batch in consume_batches(workload, MAX_BATCH_MESSAGES):
        for message in batch:
            for action in bulk_actions(message, json.loads, workload.index):
                client.index(index=action["_index"], id=action["_id"], document=action["_source"])


CONSUMERS: dict[ConsumerKind, Callable[[Workload], None]] = {
    "parallel_bulk": with_parallel_bulk,
    "bulk": with_bulk,
    "single_index": with_single_index,
}


def bulk_actions(message: Any, loads: Loads, index: str) -> Iterator[dict[str, Any]]:
    """The documents of a match as bulk actions for the client's helpers."""
    match = loads(message.value())
    match_id, info = match["metadata"]["matchId"], match["info"]
    participants = info["participants"]
    seconds = info["gameDuration"]
    minutes = seconds / 60
    teams: dict[int, dict[str, int]] = {}
    for each in participants:
        team = teams.setdefault(each["teamId"], {"kills": 0, "damage": 0, "gold": 0})
        team["kills"] += each["kills"]
        team["damage"] += each["totalDamageDealtToChampions"]
        team["gold"] += each["goldEarned"]
    puuids = [each.get("puuid") for each in participants]
    ended = info["gameStartTimestamp"] + 1000 * max(each["timePlayed"] for each in participants)
    shared = {
        "match_id": match_id,
        "timestamp": info["gameCreation"],
        "@timestamp": iso(ended),
        "game_duration": seconds,
        "patch": ".".join(info["gameVersion"].split(".")[:2]),
        "queue_id": info["queueId"],
        "queue": queue_name(info["queueId"]),
        "platform": info["platformId"],
        "remake": any(each["gameEndedInEarlySurrender"] for each in participants),
        "two_teams": teams.keys() == {100, 200},
        "ingested_at": iso(message.timestamp()[1]),
        **{name: info[source] for name, source in MATCH_DETAILS.items() if source in info},
        **({"bots": puuids.count("BOT")} if any(puuids) else {}),
    }
    for each in participants:
        kills, deaths, assists = each["kills"], each["deaths"], each["assists"]
        gold, damage = each["goldEarned"], each["totalDamageDealtToChampions"]
        cs = each["totalMinionsKilled"] + each["neutralMinionsKilled"]
        number, team = each["participantId"], teams[each["teamId"]]
        shares = {
            "kill_participation": (kills + assists, team["kills"]),
            "damage_share": (damage, team["damage"]),
            "gold_share": (gold, team["gold"]),
        }
        yield {
            "_index": index,
            "_id": f"{match_id}_{number}",
            "_source": {
                **shared,
                "participant_id": str(number),
                "summoner_name": f"{each['riotIdGameName']}#{each['riotIdTagline']}",
                "champion_name": canonical_name(each["championName"]),
                "team_id": each["teamId"],
                "position": each["teamPosition"] or "UNKNOWN",
                "win": each["win"],
                "kills": kills,
                "deaths": deaths,
                "assists": assists,
                "kda": round((kills + assists) / (deaths or 1), 2),
                "total_damage_dealt": damage,
                "gold_earned": gold,
                "cs": cs,
                "vision_score": each["visionScore"],
                "gold_per_minute": round(gold / minutes, 2),
                "damage_per_minute": round(damage / minutes, 2),
                "cs_per_minute": round(cs / minutes, 2),
                **{name: round(10_000 * part / whole) / 10_000 for name, (part, whole) in shares.items() if whole},
                **details(each),
            },
        }


MATCH_DETAILS = {"game_mode": "gameMode", "map_id": "mapId"}
DETAILS = {
    "puuid": "puuid",
    "champion_id": "championId",
    "champion_level": "champLevel",
    "damage_taken": "totalDamageTaken",
    "physical_damage": "physicalDamageDealtToChampions",
    "magic_damage": "magicDamageDealtToChampions",
    "true_damage": "trueDamageDealtToChampions",
    "wards_placed": "wardsPlaced",
    "wards_killed": "wardsKilled",
    "control_wards": "visionWardsBoughtInGame",
    "first_blood": "firstBloodKill",
    "double_kills": "doubleKills",
    "triple_kills": "tripleKills",
    "quadra_kills": "quadraKills",
    "penta_kills": "pentaKills",
}


def details(participant: dict[str, Any]) -> dict[str, Any]:
    """The fields that a compact match does not have."""
    found = {name: participant[source] for name, source in DETAILS.items() if source in participant}
    if "puuid" in participant:
        found["bot"] = participant["puuid"] == "BOT"
    if "item0" in participant:
        found["items"] = [item for slot in range(7) if (item := participant[f"item{slot}"])]
        found["summoner_spells"] = [participant["summoner1Id"], participant["summoner2Id"]]
    if participant.get("roleBoundItem"):
        found["role_item"] = participant["roleBoundItem"]
    if "perks" in participant:
        primary, secondary = participant["perks"]["styles"]
        found["keystone"] = primary["selections"][0]["perk"]
        found["primary_style"], found["secondary_style"] = primary["style"], secondary["style"]
    return found


def main() -> None:
    """Index the workload with its consumer and print the time it took."""
    workload = load_workload()
    assert workload.consumer is not None
    started = time.perf_counter()
    CONSUMERS[workload.consumer](workload)
    print_timing(Timing(workload.consumer, workload.messages, time.perf_counter() - started))


if __name__ == "__main__":
    main()
