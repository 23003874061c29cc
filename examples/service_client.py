"""Paint on an upbrush service: one picture at once, several as a job, with progress. Needs httpx.

upbrush serve
python examples/service_client.py http://127.0.0.1:8766 painted/ monet photo.jpg another.jpg
(with a token: UPBRUSH_SERVE_TOKEN=word python examples/service_client.py ...)
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx


class Refused(Exception):
    """What the service says when it cannot do what was asked, in one line."""


def client(address: str) -> httpx.Client:
    token = os.environ.get("UPBRUSH_SERVE_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=address, headers=headers, timeout=httpx.Timeout(30, read=180))


def checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        error = answer.json()["error"]
        raise Refused(f"{error['type']}: {error['message']}")
    return answer


def post(
    service: httpx.Client, path: str, files: list[tuple[str, tuple[str, bytes]]], knobs: dict[str, str]
) -> httpx.Response:
    """Send a form; where the line is full, come again when the service says."""
    while True:
        answer = service.post(path, files=files, data=knobs)
        if answer.status_code not in (429, 503):
            return checked(answer)
        time.sleep(int(answer.headers.get("retry-after", 5)))


def paint(service: httpx.Client, picture: Path, out: Path, style: str) -> None:
    """One picture, waited for."""
    answer = post(service, "/v1/paint", [("picture", (picture.name, picture.read_bytes()))], {"style": style})
    target = out / f"{picture.stem}.png"
    target.write_bytes(answer.content)
    print(f"{target}: {answer.headers['upbrush-size']} in {answer.headers['upbrush-style']}")


def paint_many(service: httpx.Client, pictures: list[Path], out: Path, style: str) -> None:
    """Several pictures as a job: it goes on even where this program, or the service, is stopped in between."""
    files = [("picture", (picture.name, picture.read_bytes())) for picture in pictures]
    job = post(service, "/v1/jobs", files, {"style": style}).json()
    with service.stream("GET", job["events"]) as events:
        for line in events.iter_lines():
            if line.startswith("data: "):
                told = json.loads(line.removeprefix("data: "))
                print(f"{told['state']}: {told['done']} of {told['pictures']} done, {told['progress']:.0%}")
    for result in checked(service.get(f"/v1/jobs/{job['id']}")).json()["results"]:
        if result["url"] is None:
            print(f"{result['name']}: {result['error']['message']}")
            continue
        target = out / f"{Path(result['name']).stem}.png"
        target.write_bytes(checked(service.get(result["url"])).content)
        print(f"{target}: {result['bytes']} bytes")
    checked(service.delete(f"/v1/jobs/{job['id']}"))  # or leave it: the service forgets it after its time


def main(address: str, out: str, style: str, *pictures: str) -> None:
    paths, folder = [Path(picture) for picture in pictures], Path(out)
    folder.mkdir(exist_ok=True)
    with client(address) as service:
        if len(paths) == 1:
            paint(service, paths[0], folder, style)
        else:
            paint_many(service, paths, folder, style)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, httpx.TransportError) as error:
        sys.exit(str(error))
