"""What one could have instead of the stack's job: three plain consumers that write the same documents."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from elasticsearch import Elasticsearch, OrjsonSerializer, helpers

from bench.in_network.task import Task, batches, given, report

Actions = Iterator[dict[str, Any]]
Loads = Callable[[bytes], dict[str, Any]]

MESSAGES_AT_ONCE = 500


def guide(task: Task) -> None:
    """As tutorials have it: `json.loads`, and `helpers.bulk` for each batch of messages."""
    client = Elasticsearch(task.elasticsearch)
    for batch in batches(task, MESSAGES_AT_ONCE):
        helpers.bulk(client, (action for message in batch for action in actions(message, json.loads, task.index)))


def one_by_one(task: Task) -> None:
    """As first scripts have it: a request for each document."""
    client = Elasticsearch(task.elasticsearch)
    for batch in batches(task, MESSAGES_AT_ONCE):
        for message in batch:
            for action in actions(message, json.loads, task.index):
                client.index(index=action["_index"], id=action["_id"], document=action["_source"])


def engineer(task: Task) -> None:
    """As a good engineer has it: orjson both ways, and `parallel_bulk` in large requests while the next are made."""
    client = Elasticsearch(
        task.elasticsearch,
        serializer=OrjsonSerializer(),
        connections_per_node=task.connections,
        request_timeout=60,
        max_retries=5,
        retry_on_timeout=True,
    )
    flow = (
        action
        for batch in batches(task, MESSAGES_AT_ONCE)
        for message in batch
        for action in actions(message, orjson.loads, task.index)
    )
    for _ in helpers.parallel_bulk(client, flow, thread_count=task.connections, chunk_size=2000):
        pass


WAYS: dict[str, Callable[[Task], None]] = {"guide": guide, "one_by_one": one_by_one, "engineer": engineer}


def actions(message: Any, loads: Loads, index: str) -> Actions:
    """A message's documents, for the client's helpers."""
    match = loads(message.value())
    match_id, info = match["metadata"]["matchId"], match["info"]
    participants = info["participants"]
    seconds = info["gameDuration"]
    minutes = seconds / 60
    ended = info["gameStartTimestamp"] + 1000 * max(each["timePlayed"] for each in participants)
    shared = {
        "match_id": match_id,
        "timestamp": info["gameCreation"],
        "@timestamp": moment(ended),
        "game_duration": seconds,
        "patch": ".".join(info["gameVersion"].split(".")[:2]),
        "queue_id": info["queueId"],
        "platform": info["platformId"],
        "remake": any(each["gameEndedInEarlySurrender"] for each in participants),
        "ingested_at": moment(message.timestamp()[1]),
    }
    for each in participants:
        kills, deaths, assists = each["kills"], each["deaths"], each["assists"]
        gold, damage = each["goldEarned"], each["totalDamageDealtToChampions"]
        cs = each["totalMinionsKilled"] + each["neutralMinionsKilled"]
        number = each["participantId"]
        yield {
            "_index": index,
            "_id": f"{match_id}_{number}",
            "_source": {
                **shared,
                "participant_id": str(number),
                "summoner_name": f"{each['riotIdGameName']}#{each['riotIdTagline']}",
                "champion_name": each["championName"],
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
            },
        }


def moment(milliseconds: int) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    """Take the task's backlog the task's way."""
    task = given()
    begun = time.perf_counter()
    WAYS[task.way](task)
    report(task.way, task.messages, time.perf_counter() - begun)


if __name__ == "__main__":
    main()
