/* verbs.h - what berth-launch can be told to do. argv[0] is the verb. Each returns the exit status. */
#ifndef BERTH_VERBS_H
#define BERTH_VERBS_H

int start_main(int argc, char **argv);
int adopt_main(int argc, char **argv);
int restore_main(int argc, char **argv);
int probe_main(int argc, char **argv);
int criu_main(int argc, char **argv);
int unrepair_main(int argc, char **argv);
int attach_main(int argc, char **argv);
int view_main(int argc, char **argv);
int console_main(int argc, char **argv);
int mount_main(int argc, char **argv);

#endif
