"""Store the pictures of a folder on a Holdfast server, search by one of them, filter, browse, delete.

    pip install requests
    python docs/examples/search.py path/to/pictures            # one folder a class: pictures/<class>/<picture>.jpg
    HOLDFAST_URL=https://… HOLDFAST_API_KEY=… python docs/examples/search.py path/to/pictures
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

import requests

URL = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:8080")
BATCH = 64


class Holdfast:
    """A server, with the few calls that most programs need."""

    def __init__(self, url, key=None):
        self.url = url.rstrip("/")
        self.session = requests.Session()
        if key:
            self.session.headers["api-key"] = key

    def call(self, method, path, **content):
        """The JSON of the answer; waits while the server is busy, and fails with its own words."""
        while True:
            answer = self.session.request(method, self.url + path, timeout=60, **content)
            if answer.status_code in (429, 503):
                time.sleep(int(answer.headers.get("Retry-After", 1)))
                continue
            if not answer.ok:
                problem = answer.json()
                raise RuntimeError(f"{problem['title']}: {problem['detail']} (request {problem['request_id']})")
            return answer.json() if answer.content else None

    def store(self, items):
        """Stores (id, picture file, metadata); returns those that were refused, with the reason."""
        lines = (
            json.dumps({"id": id, "image": {"base64": base64.b64encode(path.read_bytes()).decode()}, "metadata": metadata})
            for id, path, metadata in items
        )
        headers = {"Content-Type": "application/x-ndjson"}
        reply = self.call("POST", "/v1/items:batch", data="\n".join(lines), headers=headers)
        return [(result["id"], result["error"]["detail"]) for result in reply["results"] if "error" in result]

    def search(self, picture, limit=10, filter=None):
        """The nearest items to a picture file."""
        query = {"limit": limit} | ({"filter": filter} if filter else {})
        parts = {"image": picture.read_bytes(), "query": (None, json.dumps(query), "application/json")}
        return self.call("POST", "/v1/search", files=parts)["hits"]

    def items(self, filter=None):
        """All items, a page at a time."""
        parameters = {"limit": 100} | ({"filter": json.dumps(filter)} if filter else {})
        while True:
            page = self.call("GET", "/v1/items", params=parameters)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            parameters["cursor"] = page["next_cursor"]

    def delete(self, ids):
        """Deletes items; returns how many are gone."""
        return self.call("POST", "/v1/items:delete", json={"ids": ids})["deleted"]


def main(folder):
    server = Holdfast(URL, os.environ.get("HOLDFAST_API_KEY"))
    pictures = sorted(path for path in Path(folder).glob("*/*") if path.is_file())
    items = [(f"{path.parent.name}.{path.stem}", path, {"label": path.parent.name}) for path in pictures]

    for start in range(0, len(items), BATCH):
        for id, reason in server.store(items[start : start + BATCH]):
            print(f"refused {id}: {reason}")
    print("stored", server.call("GET", "/v1/items:count")["count"])

    query, label = pictures[0], pictures[0].parent.name
    for hit in server.search(query, limit=3):
        print(f"{hit['distance']:.3f} {hit['id']}")

    elsewhere = {"must_not": [{"key": "label", "match": label}]}
    print("nearest of another class:", server.search(query, limit=1, filter=elsewhere)[0]["id"])

    same = {"must": [{"key": "label", "match": label}]}
    ids = [item["id"] for item in server.items(same)]
    print("deleted", server.delete(ids), "of", label)


if __name__ == "__main__":
    main(sys.argv[1])
