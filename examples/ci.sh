#!/bin/sh
# Draws a storyboard in a CI job; waits and resumes if that helps.
#
#   ./ci.sh                    the project in this folder
#   ./ci.sh my-video           another one
#   ./ci.sh my-video --style clear --max-cost 20      with options of `imagegen run`, for
#                              each try; not --force, which would redraw at each try
#
# Exit codes: 0 if all requested images are there, 1 if some beats are in error (it lists
# them), 3 if it ran out of time or tries (run it again later: nothing is drawn twice), else
# imagegen's own code. It waits at least MIN_WAIT between two tries.
#
# From the environment:
#   MAX_MINUTES     minutes for one try (25)
#   TOTAL_MINUTES   minutes for all tries and waits (50)
#   MAX_TRIES       number of tries (10)
#   MIN_WAIT        seconds between two tries (30)
#   PYTHON          a Python to read JSON with, if python3 and python do not work
set -eu

project=.
if [ $# -gt 0 ]; then
  project=$1
  shift
fi
max_minutes=${MAX_MINUTES:-25}
total_seconds=$((${TOTAL_MINUTES:-50} * 60))
max_tries=${MAX_TRIES:-10}
min_wait=${MIN_WAIT:-30}

# `imagegen status` must read the same beats.
beats=
previous=
for word in "$@"; do
  [ "$previous" != --beats ] || beats=$word
  case $word in --beats=*) beats=${word#--beats=} ;; esac
  previous=$word
done

started=$(date +%s)
child=
signalled=0

say() {
  printf 'ci.sh: %s\n' "$*" >&2
}

# A shell handles signals only after its foreground program has ended, so it runs in the
# background. A terminal sends Ctrl-C to the program too; a CI runner only to this shell.
trap 'signalled=130; [ -t 0 ] || [ -z "$child" ] || kill -s INT "$child" 2>/dev/null || :' INT
trap 'signalled=143; [ -z "$child" ] || kill -s TERM "$child" 2>/dev/null || :' TERM

# Runs a command and sets $code to its exit code.
run() {
  "$@" &
  child=$!
  while :; do
    code=0
    wait "$child" || code=$?
    # A signal ends `wait`, not the program.
    kill -0 "$child" 2>/dev/null || break
  done
  child=
}

find_python() {
  for python in "${PYTHON:-python3}" python3 python; do
    if "$python" -c '' 2>/dev/null; then
      return
    fi
  done
  say "found no Python to read JSON with: set PYTHON"
  exit 2
}

# Prints how many seconds to wait ("never" if you must act), and the number of images.
standing() {
  json=$(imagegen status "$project" ${beats:+--beats "$beats"} --json) || return
  printf '%s\n' "$json" | "$python" -c '
import datetime, json, math, sys
try:
    status = json.load(sys.stdin)
    there = sum(style["complete"] for style in status["styles"].values())
    after = status["resume_after"]
    wait = "never"
    if after is not None:
        then = datetime.datetime.fromisoformat(after.replace("Z", "+00:00"))
        now = datetime.datetime.now(datetime.timezone.utc)
        wait = max(0, math.ceil((then - now).total_seconds()))
except (ValueError, KeyError, TypeError, AttributeError) as error:
    print(f"ci.sh: cannot read the output of imagegen status: {error!r}", file=sys.stderr)
    sys.exit(70)
print(wait, there)
'
}

list_errors() {
  imagegen status "$project" ${beats:+--beats "$beats"} --json | "$python" -c '
import json, sys
def plain(text):
    return "".join(c if c.isprintable() else " " for c in str(text))
for style, found in json.load(sys.stdin)["styles"].items():
    for beat in found["beats"]:
        if beat["status"] == "error":
            error = beat["error"] or {}
            name = "/".join([style, beat["shot_number"], beat["beat_number"]])
            why = ": ".join(str(error[key]) for key in ("reason", "message") if error.get(key))
            print("  " + plain(f"{name}  {why}"))
' || say "the beats in error could not be listed"
}

find_python
first=$(standing) || exit
before=${first#* }
idle=0
tries=0
interruptions=0
while :; do
  tries=$((tries + 1))
  left=$((total_seconds - ($(date +%s) - started)))
  seconds=$((max_minutes * 60))
  [ "$seconds" -le "$left" ] || seconds=$left
  run imagegen run "$project" --progress plain --max-time "${seconds}s" "$@"
  [ "$signalled" -eq 0 ] || exit "$signalled"

  case $code in
    0) exit 0 ;;
    1)
      say "beats in error:"
      list_errors
      exit 1
      ;;
    3) ;;
    130 | 143)
      # Something ended imagegen but not this script: the first time may be a mistake.
      interruptions=$((interruptions + 1))
      [ "$interruptions" -le 1 ] || exit "$code"
      ;;
    *) exit "$code" ;;
  esac

  found=$(standing) || exit 3
  pause=${found% *}
  there=${found#* }
  if [ "$code" -ne 3 ]; then
    pause=0
  elif [ "$pause" = never ]; then
    say "imagegen ended early, and waiting does not help: see the message above"
    exit 3
  fi
  if [ "$there" -gt "$before" ]; then
    idle=0
  else
    idle=$((idle + 1))
  fi
  before=$there
  if [ "$idle" -ge 2 ]; then
    say "two tries in a row drew no image: giving up for now"
    exit 3
  fi
  if [ "$tries" -ge "$max_tries" ]; then
    say "that was try $tries of $max_tries: giving up for now"
    exit 3
  fi
  [ "$pause" -ge "$min_wait" ] || pause=$min_wait
  left=$((total_seconds - ($(date +%s) - started) - pause))
  if [ "$left" -le 0 ]; then
    say "the next try would start in $pause seconds, after TOTAL_MINUTES: giving up for now"
    exit 3
  fi
  say "$there images are there; trying again in $pause seconds"
  run sleep "$pause"
  [ "$signalled" -eq 0 ] || exit "$signalled"
done
