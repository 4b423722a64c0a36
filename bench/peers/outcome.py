"""What runs of bench/compare found: reports of `parlor bench` as values.

A report is a schema and runs; a run is conditions and measurements; see docs/performance.md.
"""

import contextlib
import json

# Figures of streams that say something beside systems without bots.
FIGURES_OF_STREAMS = ("tokens in one delta", "deltas a second to each")


def join(files, command):
    """One report of all runs, under the conditions of the first: all have the same but for the load
    of the machine, and their own files tell theirs."""
    reports = [json.loads(file.read_text()) for file in files]
    runs = [run for report in reports for run in report["runs"]]
    measurements = [measurement for run in runs for measurement in run["measurements"]]
    frames = [it for it in measurements if it["plan"].get("rate") == "240 messages/s"]
    measurements = [
        as_frames(it, frames[0]["plan"]) if it["scenario"] == "stream" and frames else it
        for it in measurements
    ]
    conditions = runs[0]["conditions"] | {"command": command}
    return reports[0] | {"runs": [{"conditions": conditions, "measurements": measurements}]}


def as_frames(measurement, plan):
    """Puts tokens that bots streamed beside frames of others: each token is a delivery, whatever
    it came in."""
    figures = {figure["name"]: figure["value"] for figure in measurement["figures"]}
    tokens = figures["tokens delivered a second"]
    millions = tokens * measurement["duration_s"] / 1e6
    costs = {
        f"{side}_cpu_s_per_million": sum(measurement[f"{side}_cpu"].values()) / millions
        for side in ("server", "generator")
        if measurement.get(f"{side}_cpu")
    }
    return measurement | costs | {
        "system": "parlor, tokens of bots",
        "scenario": "fan-out",
        "plan": plan | {"messages": "at most once"},
        "deliveries": round(millions * 1e6),
        "deliveries_per_s": tokens,
        "figures": [it for it in measurement["figures"] if it["name"] in FIGURES_OF_STREAMS],
    }


def of_writes(cost, model, command, plan):
    """Makes a report of what `floor write` told, in the shape of the others."""
    run = model["runs"][0]
    shape = run["measurements"][0]["plan"]
    shape.pop("in flight")
    members = cost["members"]
    measurement = {
        "system": "write",
        "scenario": "fan-out",
        "plan": shape | plan | {"readers in each room": str(members)},
        "duration_s": cost["seconds"],
        "connections": members,
        "deliveries": cost["deliveries"],
        "deliveries_per_s": cost["deliveries"] / cost["seconds"],
    }
    if cost["cpu_seconds"] is not None:
        measurement["server_cpu_s_per_million"] = cost["cpu_seconds"] / cost["deliveries"] * 1e6
    conditions = run["conditions"] | {"command": command}
    return model | {"runs": [{"conditions": conditions, "measurements": [measurement]}]}


def fault(measurement, connections):
    """What is wrong with a run in which all should have arrived."""
    delivery = measurement.get("delivery") or {}
    faults = [name for name in ("lost", "doubled", "out_of_order", "refused") if delivery.get(name)]
    if faults:
        return ", ".join(f"{delivery[name]} {name}" for name in faults)
    if not delivery.get("arrived") or delivery["arrived"] != delivery["expected"]:
        return f"{delivery.get('arrived')} of {delivery.get('expected')} deliveries arrived"
    if measurement.get("connections") != connections:
        return f"{measurement.get('connections')} of {connections} connections"
    return None


def brief(measurement):
    parts = [f"{measurement['deliveries_per_s']:,.0f}/s"]
    with contextlib.suppress(KeyError, TypeError):
        parts.append(f"{measurement['server_cpu_s_per_million']:.3f} CPU-s/M")
    with contextlib.suppress(KeyError, TypeError):
        parts.append(f"p99 {measurement['latency']['p99_ms']:.1f} ms")
    delivery = measurement.get("delivery") or {}
    parts += [
        f"{delivery[name]} {name}" for name in ("lost", "doubled", "out_of_order") if delivery.get(name)
    ]
    return ", ".join(parts)
