#!/bin/sh
# Draws a storyboard on five nodes at once, each task its shard:
#
#   sbatch slurm-array.sh my-video                     the whole array
#   sbatch --array=3 slurm-array.sh my-video           one task again
#   imagegen merge my-video my-video.shard-*           when all have ended
#
# Each task draws in a copy of its own beside the project, and goes on there if it is run again.
# The tasks do not know of each other's requests: give each a fifth of a key's limit in
# keys.toml, or share budgets.
#SBATCH --job-name=imagegen
#SBATCH --array=0-4
#SBATCH --time=01:00:00
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
set -eu

project=${1:?usage: sbatch slurm-array.sh PROJECT}
project=${project%/}
# Set, so that one task that is run again is still one of five.
export IMAGEGEN_SHARD_COUNT=5

copy=$project.shard-$SLURM_ARRAY_TASK_ID
if [ ! -d "$copy" ]; then
  # A task that was killed may have left half of it.
  rm -rf "$copy.new"
  cp -R "$project" "$copy.new"
  mv "$copy.new" "$copy"
fi
exec imagegen run "$copy" --max-time 55m
