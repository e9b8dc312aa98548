"""The texts of `--help` of the commands that look after runs."""

RUNS_HELP = """\
usage: ganrun runs [FOLDER] [state=running,dead] [tag=NAME] [--json]    list the runs below FOLDER (default: outputs)
       ganrun runs rm RUN ... [--yes]                                   remove runs
       ganrun runs clean [FOLDER] [--yes]                               remove those that are dead, failed or empty
       ganrun runs du [FOLDER]                                          what they take of the disk
       ganrun runs tag RUN [NAME ...] [remove=NAME,NAME]                add and remove tags, and show them
       ganrun runs diff RUN RUN                                         how two runs differ, and their scores

Runs that live come first, then the newest. Columns that do not fit the terminal are left out; --json has all.

states
  running       a process holds the lock of the run folder
  elsewhere     says that it runs on another machine, and was written to within the last day
  dead          says that it runs, but its process was killed; ganrun resume RUN goes on
  failed, interrupted, pruned, done    as it ended
  empty         ended before its training began
  damaged       its status.json cannot be read

`rm` and `clean` list what they remove and ask, unless --yes (-y) is given. They never remove a run that lives, follow
no link, and refuse a folder that is not a run's, or holds what ganrun has not written (rm RUN all=true takes it, too).
A tag has letters, digits and . _ + : @ -, and is kept in tags.json of the run folder.

  ganrun runs state=running
  ganrun runs tag last baseline
  ganrun runs tag=baseline --json
  ganrun runs diff outputs/a outputs/b
"""

STATUS_HELP = """\
usage: ganrun status RUN [--json]

Print all that is known of a run: its state and process, progress, time left, scores, diagnosis, last message,
checkpoints, disk, device, tags and versions, and the command that goes on. RUN is a run folder, or last.

  ganrun status last
"""

LOGS_HELP = """\
usage: ganrun logs RUN [-f] [lines=20]

Print the messages of a run, train.log. -f (--follow) prints those that come, until the run ends. lines= prints only the
last ones of those that are there. RUN is a run folder, or last.

  ganrun logs last -f
"""

STOP_HELP = """\
usage: ganrun stop RUN [limit=300] [now=true]

End a running training. Its process gets SIGTERM: it finishes its batch, saves and ends; ganrun resume RUN goes on. The
command waits until it has ended, at most limit= seconds, and says how.

Only the process that holds the lock of the run folder gets the signal. If that is not certain, or the run is on another
machine, nothing is done. Given again, the command only waits; now=true sends a second signal, which ends the training
at once, without saving.

  ganrun stop last
"""

SAVE_HELP = """\
usage: ganrun save RUN [limit=600]

Have a running training save a checkpoint after its batch, and print the path of the file when it is on disk, after at
most limit= seconds. The training goes on. The checkpoint stays until two later ones are saved. This also reaches a run
on another machine that shares the folder.

  ganrun save last
"""

TEXTS = {"runs": RUNS_HELP, "status": STATUS_HELP, "logs": LOGS_HELP, "stop": STOP_HELP, "save": SAVE_HELP}
