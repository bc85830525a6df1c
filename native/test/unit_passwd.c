/* unit_passwd.c - the guest's users: good lines, bad lines, files that are no files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../passwd.h"
#include "../util.h"
#include "unit.h"

static const char good[] = "root:x:0:0:root:/root:/bin/bash\n"
			   "alice:x:1000:1001:Alice,,,:/home/alice:/bin/zsh\n"
			   "plain:x:1002:1002:::\n"
			   "last:x:7:7::/l:/bin/l";

static void names_and_uids_are_found(void)
{
	struct passwd_entry e;
	expect(passwd_by_name(good, strlen(good), "alice", &e) && e.uid == 1000 && e.gid == 1001);
	expect(strcmp(e.home, "/home/alice") == 0 && strcmp(e.shell, "/bin/zsh") == 0);
	expect(passwd_by_uid(good, strlen(good), 7, &e) && strcmp(e.name, "last") == 0 && strcmp(e.shell, "/bin/l") == 0);
	expect(!passwd_by_name(good, strlen(good), "ali", &e) && !passwd_by_name(good, strlen(good), "", &e));
	expect(!passwd_by_uid(good, strlen(good), 99, &e) && !passwd_by_name(NULL, 0, "alice", &e));
}

static void empty_home_and_shell_have_their_meaning(void)
{
	struct passwd_entry e;
	expect(passwd_by_name(good, strlen(good), "plain", &e) && strcmp(e.home, "/") == 0 && strcmp(e.shell, "/bin/sh") == 0);
}

static void malformed_lines_are_passed_over(void)
{
	static const char *const bad[] = {
		"a:x:1:1::/:/bin/sh:more\n", "a:x:1:1::/\n",     "a:x::1::/:/s\n",          "a:x:-1:1::/:/s\n", "a:x:1:x::/:/s\n",
		"a:x:4294967295:1::/:/s\n",  "a:x: 1:1::/:/s\n", "a:x:99999999999:1::/:/s\n", "a\n",              ":x:1:1::/:/s\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[256];
		struct passwd_entry e;
		snprintf(text, sizeof text, "%sa:x:5:6::/h:/s\n", bad[i]);
		expect(passwd_by_name(text, strlen(text), "a", &e) && e.uid == 5 && e.gid == 6);
	}
}

static void overlong_fields_are_passed_over(void)
{
	static char text[8192];
	struct passwd_entry e;
	int n = snprintf(text, sizeof text, "%0*d:x:1:1::/:/s\nb:x:1:1::/%0*d:/s\nb:x:2:2::/:/s\n", PASSWD_MAX_NAME, 0, PASSWD_MAX_PATH, 0);
	expect(n > 0 && passwd_by_uid(text, (size_t)n, 1, &e) == false);
	expect(passwd_by_name(text, (size_t)n, "b", &e) && e.uid == 2);
}

static void a_nul_byte_spoils_its_line_only(void)
{
	static const char text[] = "a:x:1:1::/h\0idden:/s\na:x:2:2::/ok:/s\n";
	struct passwd_entry e;
	expect(passwd_by_name(text, sizeof text - 1, "a", &e) && e.uid == 2);
}

static void ids_are_decimal(void)
{
	uint32_t v;
	expect(passwd_id("0", 1, &v) && v == 0);
	expect(passwd_id("4294967294", 10, &v) && v == 4294967294U);
	expect(!passwd_id("4294967295", 10, &v) && !passwd_id("", 0, &v) && !passwd_id("1x", 2, &v) && !passwd_id("00000000001", 11, &v));
}

static void groups_of_a_member(void)
{
	static const char text[] = "root:x:0:\nadm:x:4:syslog,alice\nsudo:x:27:alice\nno:x:5:alicex,xalice,\ndup:x:4:alice\nbad:x:y:alice\nshort:x:9\nend:x:8:a,,alice";
	uint32_t ids[8];
	expect(group_ids(text, strlen(text), "alice", ids, 8) == 3 && ids[0] == 4 && ids[1] == 27 && ids[2] == 8);
	expect(group_ids(text, strlen(text), "bob", ids, 8) == 0);
	expect(group_ids(text, strlen(text), "", ids, 8) == 0);
	expect(group_ids(text, strlen(text), "alice", ids, 2) == -1);
}

/* --- user_resolve, below a directory made for it --- */

static char dir[] = "/tmp/berth-unit-passwd-XXXXXX";
static struct user u;

static bool write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	bool good_write = f && fputs(text, f) >= 0;
	return f && fclose(f) == 0 && good_write;
}

static void specs_are_resolved(void)
{
	expect(write_file("etc/passwd", good) && write_file("etc/group", "adm:x:4:alice\n"));
	expect(user_resolve(NULL, &u) == 0 && u.entry.uid == 0 && strcmp(u.entry.home, "/root") == 0 && u.group_count == 0);
	expect(user_resolve("alice", &u) == 0 && u.entry.gid == 1001 && u.group_count == 1 && u.groups[0] == 4);
	expect(user_resolve("1000", &u) == 0 && strcmp(u.entry.name, "alice") == 0 && u.group_count == 1);
	expect(user_resolve("1000:5", &u) == 0 && u.entry.gid == 5 && u.group_count == 0);
	expect(user_resolve("555:6", &u) == 0 && u.entry.uid == 555 && u.entry.gid == 6 && u.entry.name[0] == '\0');
}

static void bad_specs_are_refused(void)
{
	static const char *const bad[] = {"nobody-here", "555", "alice:5", "", ":5", "1000:", "1000:x", "1000:5:6", "4294967295:1"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		expect(user_resolve(bad[i], &u) == -1 && strcmp(failure.step, "user") == 0);
}

static void without_files_there_is_root(void)
{
	expect(unlink("etc/passwd") == 0 && unlink("etc/group") == 0);
	expect(user_resolve(NULL, &u) == 0 && strcmp(u.entry.home, "/root") == 0 && strcmp(u.entry.name, "root") == 0);
	expect(user_resolve("alice", &u) == -1 && failure.err == 0);
}

static void what_is_no_plain_file_is_refused(void)
{
	expect(mkfifo("etc/passwd", 0644) == 0 && user_resolve(NULL, &u) == -1); /* and does not hang */
	expect(unlink("etc/passwd") == 0 && symlink("/etc/passwd", "etc/passwd") == 0 && user_resolve(NULL, &u) == -1);
	expect(unlink("etc/passwd") == 0 && mkdir("etc/passwd", 0755) == 0 && user_resolve(NULL, &u) == -1);
	expect(rmdir("etc/passwd") == 0 && write_file("etc/passwd", good) && truncate("etc/passwd", PASSWD_MAX_FILE + 1) == 0);
	expect(user_resolve(NULL, &u) == -1 && failure.err == EFBIG);
	expect(truncate("etc/passwd", PASSWD_MAX_FILE) == 0 && user_resolve("alice", &u) == 0);
	expect(unlink("etc/passwd") == 0);
}

int main(void)
{
	run(names_and_uids_are_found);
	run(empty_home_and_shell_have_their_meaning);
	run(malformed_lines_are_passed_over);
	run(overlong_fields_are_passed_over);
	run(a_nul_byte_spoils_its_line_only);
	run(ids_are_decimal);
	run(groups_of_a_member);
	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("etc", 0755) < 0) {
		puts("not ok passwd_files # no temporary directory");
		return 1;
	}
	run(specs_are_resolved);
	run(bad_specs_are_refused);
	run(without_files_there_is_root);
	run(what_is_no_plain_file_is_refused);
	if (rmdir("etc") < 0 || chdir("/") < 0 || rmdir(dir) < 0)
		puts("not ok passwd_files # something is left behind");
	return unit_failures > 0;
}
