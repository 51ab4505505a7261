# Objects of fs/.
fs-y := disk.o gpt.o buffer.o fat_chain.o fat_commit.o fat_dir.o fat_file.o fat_index.o fat_mount.o fat_name.o fat_node.o fat_ops.o \
	fat_rename.o fat_slots.o fat_table.o fat_time.o
