#!/bin/sh
# Draws half of a storyboard here and half on another machine, and merges both:
#
#   ./two-machines.sh my-video me@studio:my-video
#   ./two-machines.sh my-video me@studio:my-video --max-cost 10      options of `imagegen run`
#
# The other machine needs ssh, rsync, imagegen, and keys of its own: keys.toml is not copied.
# Run it again if it ends early (exit 3): nothing is drawn twice.
set -eu

if [ $# -lt 2 ]; then
  echo "usage: two-machines.sh PROJECT HOST:FOLDER [OPTIONS OF imagegen run]" >&2
  exit 2
fi
project=${1%/}
there=${2%/}
shift 2
copy=$project.from-there

quoted() {
  for word in "$@"; do
    printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
  done
}

# What the other machine draws from, and then images that it lacks, so that none is drawn twice.
rsync -a --exclude /.imagegen --exclude /keys.toml --exclude /generated_images \
  --exclude /old_images --exclude /selected_images --exclude /image_selections.json \
  --exclude '/image_progress_*.json' "$project/" "$there/"
if [ -d "$project/generated_images" ]; then
  rsync -a --ignore-existing "$project/generated_images" "$there/"
fi

# shellcheck disable=SC2029  # Quoted for the other machine.
ssh "${there%%:*}" "imagegen run$(quoted "${there#*:}" --shard 2/2 "$@")" &
other=$!
here=0
imagegen run "$project" --shard 1/2 "$@" || here=$?
both=0
wait "$other" || both=$?
[ "$here" -eq 0 ] || both=$here

# What either has drawn is merged, also if one ended early.
rsync -a --delete "$there/" "$copy/"
imagegen merge "$project" "$copy" || [ "$both" -ne 0 ] || both=$?
exit "$both"
