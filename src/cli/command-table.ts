/** Every command, in the order in which help shows it. A module is loaded only when its command is asked for. */
import type { CommandTable } from "./framework/command.ts";

export const commandTable: CommandTable = [
  {
    title: "Containers",
    commands: {
      create: () => import("./commands/create.ts"),
      start: () => import("./commands/start.ts"),
      stop: () => import("./commands/stop.ts"),
      restart: () => import("./commands/restart.ts"),
      rm: () => import("./commands/rm.ts"),
      freeze: () => import("./commands/freeze.ts"),
      thaw: () => import("./commands/thaw.ts"),
      checkable: () => import("./commands/checkable.ts"),
      suspend: () => import("./commands/suspend.ts"),
      resume: () => import("./commands/resume.ts"),
      clone: () => import("./commands/clone.ts"),
      rename: () => import("./commands/rename.ts"),
      move: () => import("./commands/move.ts"),
      migrate: () => import("./commands/migrate.ts"),
      evacuate: () => import("./commands/evacuate.ts"),
    },
  },
  {
    title: "Looking",
    commands: {
      ls: () => import("./commands/ls.ts"),
      info: () => import("./commands/info.ts"),
      log: () => import("./commands/log.ts"),
    },
  },
  {
    title: "Inside",
    commands: {
      exec: () => import("./commands/exec.ts"),
      enter: () => import("./commands/enter.ts"),
      console: () => import("./commands/console.ts"),
      cp: () => import("./commands/cp.ts"),
      "run-script": () => import("./commands/run-script.ts"),
      mount: () => import("./commands/mount.ts"),
      umount: () => import("./commands/umount.ts"),
    },
  },
  {
    title: "Settings",
    commands: {
      set: () => import("./commands/set.ts"),
      config: {
        summary: "Show or edit a container's config.yaml",
        commands: {
          show: () => import("./commands/config-show.ts"),
          edit: () => import("./commands/config-edit.ts"),
        },
      },
    },
  },
  {
    title: "Backups",
    commands: {
      backup: () => import("./commands/backup.ts"),
      checkpoint: () => import("./commands/checkpoint.ts"),
      restore: () => import("./commands/restore.ts"),
    },
  },
  {
    title: "Snapshots",
    commands: {
      snapshot: {
        summary: "Keep a container's disk as it is, and go back to it",
        commands: {
          create: () => import("./commands/snapshot-create.ts"),
          ls: () => import("./commands/snapshot-ls.ts"),
          restore: () => import("./commands/snapshot-restore.ts"),
          mount: () => import("./commands/snapshot-mount.ts"),
          rm: () => import("./commands/snapshot-rm.ts"),
          run: () => import("./commands/snapshot-run.ts"),
        },
      },
    },
  },
  {
    title: "Security",
    commands: {
      security: {
        summary: "What keeps containers from the host",
        commands: { log: () => import("./commands/security-log.ts") },
      },
    },
  },
  {
    title: "Templates",
    commands: {
      template: {
        summary: "Build and look after templates",
        commands: {
          build: () => import("./commands/template-build.ts"),
          import: () => import("./commands/template-import.ts"),
          ls: () => import("./commands/template-ls.ts"),
          info: () => import("./commands/template-info.ts"),
          rm: () => import("./commands/template-rm.ts"),
          export: () => import("./commands/template-export.ts"),
          gc: () => import("./commands/template-gc.ts"),
        },
      },
    },
  },
  {
    title: "Volumes",
    commands: {
      volume: {
        summary: "Make and look after volumes: space that containers mount, and that outlives them",
        commands: {
          create: () => import("./commands/volume-create.ts"),
          ls: () => import("./commands/volume-ls.ts"),
          info: () => import("./commands/volume-info.ts"),
          resize: () => import("./commands/volume-resize.ts"),
          rm: () => import("./commands/volume-rm.ts"),
        },
      },
    },
  },
  {
    title: "Pools and quota",
    commands: {
      quota: {
        summary: "Limits of users and groups inside containers",
        commands: {
          set: () => import("./commands/quota-set.ts"),
          ls: () => import("./commands/quota-ls.ts"),
        },
      },
      pool: {
        summary: "Make and look after the file systems that hold volumes",
        commands: {
          create: () => import("./commands/pool-create.ts"),
          info: () => import("./commands/pool-info.ts"),
          grow: () => import("./commands/pool-grow.ts"),
          trim: () => import("./commands/pool-trim.ts"),
          check: () => import("./commands/pool-check.ts"),
          rm: () => import("./commands/pool-rm.ts"),
        },
      },
    },
  },
  {
    title: "berth itself",
    commands: {
      check: () => import("./commands/check.ts"),
      audit: () => import("./commands/audit.ts"),
      help: () => import("./commands/help.ts"),
      completion: () => import("./commands/completion.ts"),
      "migrate-receive": () => import("./commands/migrate-receive.ts"),
      __complete: () => import("./commands/complete.ts"),
    },
  },
];
